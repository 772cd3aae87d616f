"""``rdaq doctor``: what is wrong with a set-up, and the next step for each thing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from serial.tools import list_ports

from rdaq_ophyd.errors import ProfileError, RdaqError
from rdaq_ophyd.identify import PortReport, candidates, identify_all, stable_name, write_profile
from rdaq_ophyd.link import stable_names, usb_name
from rdaq_ophyd.profile import find

__all__ = ["Finding", "examine", "name_ports", "run"]

OWN_PORT = """\
From the simulator to your own instrument:
  1. rdaq profiles --copy laser_lab      your profile to edit
  2. plug the instrument in; `rdaq doctor` lists its port; take the usb: or /dev/serial/by-id/ name, it stays the same
     (`rdaq doctor --identify` asks what is on which port; with --write my_lab.toml it writes a profile)
  3. put that name into the profile, then: rdaq doctor ./laser_lab.py   then: rdaq shell ./laser_lab.py"""


@dataclass(frozen=True)
class Finding:
    """One line of the report: ``level`` is ok, note or fail; ``hint`` is the next step."""

    level: str
    about: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        arrow = f"\n{'':17}→ {self.hint}" if self.hint else ""
        return f"{self.level:<5}{self.about:<11} {self.text}{arrow}"


def _versions() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} at {sys.executable}")
    wrong = []
    for text in requires("rdaq-ophyd") or ():
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            have = version(need.name)
        except PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        if not need.specifier.contains(have, prereleases=True):
            wrong.append(f"{need.name} {have}, needed {need.specifier}")
    if wrong:
        yield Finding("fail", "packages", "; ".join(wrong), "make env (or pip install -U rdaq-ophyd)")
    else:
        main = ", ".join(f"{p} {version(p)}" for p in ("rdaq-ophyd", "bluesky", "ophyd-async", "tiled", "h5py"))
        yield Finding("ok", "packages", main)


def _disk(data_dir: Path) -> Iterator[Finding]:
    from .catalog import data_layout, hint_at_repair
    from .startup import check_directory

    try:
        free = check_directory(data_dir)
    except RdaqError as error:
        yield Finding("fail", "data", error.what, error.hint)
    else:
        yield Finding("ok", "data", f"{data_dir} can be written, {free / 2**30:.1f} GiB free")
        what, _, step = hint_at_repair(data_layout(data_dir)).partition(" → ")
        if what:
            yield Finding("note", "runs", what, step)


def _ports() -> Iterator[Finding]:
    found = sorted(list_ports.comports(include_links=False))
    if not found:
        yield Finding("note", "ports", "no serial port on this machine", "plug an instrument in, or try `rdaq sim`")
    by_id = stable_names()
    for port in found:
        name = usb_name(port, found) or by_id.get(os.path.realpath(port.device))
        text = f"{port.device}: {port.description}" + (f", always {name}" if name else "")
        if os.access(port.device, os.R_OK | os.W_OK):
            yield Finding("ok", "port", text)
        else:
            hint = "sudo usermod -aG dialout $USER, then log in again"
            yield Finding("fail", "port", f"{text}: no permission", hint)


def _camera() -> Iterator[Finding]:
    try:
        have = version("pypylon")
    except PackageNotFoundError:
        yield Finding(
            "note", "pylon", "pypylon is not installed", "for Basler cameras: pip install 'rdaq-ophyd[pylon]'"
        )
        return
    from pypylon import pylon

    names = [d.GetFriendlyName() for d in pylon.TlFactory.GetInstance().EnumerateDevices()]
    yield Finding("ok", "pylon", f"pypylon {have}, cameras: {', '.join(names) or 'none found'}")


def _micromanager() -> Iterator[Finding]:
    try:
        have = version("pymmcore")
    except PackageNotFoundError:
        hint = "for Micro-Manager's devices: pip install 'rdaq-ophyd[micromanager]'"
        yield Finding("note", "micro-manager", "pymmcore is not installed", hint)
        return
    interface = (have.split(".") + ["unknown"] * 4)[3]
    folder = os.environ.get("MICROMANAGER_PATH", "")
    where = f"adapters in {folder}" if folder else "MICROMANAGER_PATH is not set"
    wrong = "" if not folder or Path(folder).is_dir() else ", which does not exist"
    text = f"pymmcore {have}, needs adapters of device interface {interface}; {where}{wrong}"
    yield Finding("fail" if wrong else "ok", "micro-manager", text, "correct MICROMANAGER_PATH" if wrong else "")


def _catalog() -> Iterator[Finding]:
    from .catalog import EmbeddedCatalog

    folder = Path(tempfile.mkdtemp(prefix="rdaq-doctor-"))
    try:
        catalog = EmbeddedCatalog(folder, profile=None)
        try:
            catalog.start()
            catalog.ready()
            yield Finding("ok", "tiled", f"starts and answers ({version('tiled')})")
        finally:
            catalog.close()
    except RdaqError as error:
        yield Finding("fail", "tiled", error.what, error.hint)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _devices(profile: str, data_dir: Path) -> Iterator[Finding]:
    from .startup import start

    # Nobody feeds an instrument's watchdog after this: started here, it would switch a running laser off.
    with start(profile, data_dir=data_dir, watchdogs=False) as session:
        for name, device in session.rig.devices.items():
            yield Finding("ok", name, f"{type(device).__name__} is connected")
        for name, error in session.rig.failures.items():
            hint = error.hint if isinstance(error, RdaqError) else ""
            yield Finding("fail", name, error.what if isinstance(error, RdaqError) else str(error), hint)


def examine(profile: str | None, data_dir: Path) -> Iterator[Finding]:
    """Look at everything in turn; a check that cannot run is a finding too.

    :param profile: also connect its devices; None leaves the instruments alone.
    """
    if profile is not None:
        find(profile)  # a misspelt name is told before the slow checks
    checks: list[Callable[[], Iterable[Finding]]] = [_versions, lambda: _disk(data_dir), _ports, _camera]
    checks += [_micromanager, _catalog]
    if profile is not None:
        checks.append(lambda: _devices(profile, data_dir))
    for check in checks:
        try:
            yield from check()
        except RdaqError as error:
            yield Finding("fail", "check", error.what, error.hint)


def _named(report: PortReport) -> Finding:
    """What is on one port."""
    if report.answers:
        said = "; ".join(map(str, report.answers))
        name = stable_name(report.url)
        always = f", always {name}" if name != report.url else ""
        known = report.answers[0].kind.device
        hint = "" if known else "no driver for it here: declare it in a TOML file"
        return Finding("ok", known or "unknown", f"{report.url}{always}: {said}", hint)
    if report.busy:
        return Finding("note", "port", f"{report.url}: in use by another program, not asked")
    if report.error is not None:
        return Finding("fail", "port", report.error.what, report.error.hint)
    heard = f"; it said {report.heard[:60]!r}" if report.heard else ""
    hint = "is it switched on, and the cable straight or crossed as its manual says?"
    return Finding("note", "port", f"{report.url}: none of the known instruments answers{heard}", hint)


def name_ports(ports: Sequence[str], *, excluded: Sequence[str] = (), write: str | None = None) -> int:
    """Ask what is on the ports, print it, and write a profile if asked; the exit code is 1 when one could not be asked.

    :param ports: names or URLs; empty for every USB adapter of this machine.
    :param excluded: ports that are left alone.
    :param write: file of the profile; never overwritten.
    """
    path = None if write is None else Path(write)
    if path is not None and path.suffix != ".toml":
        raise ProfileError(f"--write {write}: no .toml file", hint="a profile made from what was found is TOML")
    if path is not None and path.exists():
        raise ProfileError(f"{path} exists already", hint="give another name; it is not overwritten")
    chosen = [port for port in ports if port not in excluded] or ([] if ports else candidates(excluded))
    if not chosen:
        sys.stdout.write(f"{Finding('note', 'ports', 'no port to ask', 'name one, or plug the instrument in')}\n")
    reports = []
    for report in identify_all(chosen):
        reports.append(report)
        sys.stdout.write(f"{_named(report)}\n")
        sys.stdout.flush()
    if path is not None:
        write_profile(path, reports)
        sys.stdout.write(f"\nwritten: {path}; edit it, then: rdaq doctor ./{path.name}\n")
    return int(any(report.error is not None and not report.busy for report in reports))


def run(profile: str | None, *, data_dir: str | None = None) -> int:
    """Print the findings; the exit code is 1 when one is a failure."""
    from .startup import Settings

    where = Path(data_dir).expanduser().resolve() if data_dir else Settings().data_dir
    failed = False
    for finding in examine(profile, where):
        sys.stdout.write(f"{finding}\n")
        sys.stdout.flush()
        failed = failed or finding.level == "fail"
    sys.stdout.write(f"\n{OWN_PORT}\n")
    return int(failed)
