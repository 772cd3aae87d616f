"""The command line on a rig elsewhere: ``rdaq ls``, ``read``, ``set``, ``mv``, ``run --host``, ``watch`` …"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from rdaq_ophyd.document_lines import encode
from rdaq_ophyd.errors import LimitError, RdaqError, ResumeRefused, UnitsError
from rdaq_ophyd.option_words import OptionParser, numbers, texts
from rdaq_ophyd.unheard import silenced
from rdaq_ophyd.wire import messages

from . import _ask
from ._client import Client, connect
from ._device import RemoteDevice, RemoteSignal
from ._runs import Run, What
from ._stop import stop_there

PORT = 50051
HOST = f"127.0.0.1:{PORT}"
"""Where `rdaq serve` listens unless told otherwise."""
WITHOUT_PORT = re.compile(r"\[[^\]]*\]|[^\s:/\[\]]+")
ALSO = "also: --md KEY=VALUE, recorded in this run (repeat for more); --host, --token-file, --ca: which server"
"""What is taken before the options of a plan are."""
SINGLE = {"number", "integer", "boolean"}
"""Kinds of single values, as JSON Schema calls them, that are no texts."""
__all__ = [
    "HOST",
    "Where",
    "engine",
    "ls",
    "mv",
    "read",
    "reset",
    "resume",
    "run",
    "say",
    "set_signal",
    "stop",
    "stop_device",
    "trigger",
    "watch",
]


@dataclass(frozen=True)
class Where:
    """Which server.

    :param host: ``host:port``; default ``$RDAQ_HOST``, else this machine.
    :param token_file: file with the token; default ``$RDAQ_TOKEN`` is the token itself.
    :param certificate: of the authority that signed the server's.
    """

    host: str | None = None
    token_file: str | None = None
    certificate: str | None = None

    @property
    def address(self) -> str:
        """``host:port``; the usual port where none is given.

        :raises LimitError: the host is empty, as that of a variable that is not set.
        """
        given = os.environ.get("RDAQ_HOST") or HOST if self.host is None else self.host
        if not given.strip():
            raise LimitError(f"--host {given!r} names no server", hint=f"give HOST:PORT, such as {HOST}")
        return f"{given}:{PORT}" if WITHOUT_PORT.fullmatch(given) else given

    def token(self) -> str | None:
        """The token itself.

        :raises RdaqError: its file cannot be read, or has none.
        """
        if self.token_file is None:
            return os.environ.get("RDAQ_TOKEN")
        hint = "give the file with your token, and nothing else in it"
        try:
            text = Path(self.token_file).read_text(encoding="ascii").strip()
        except OSError as error:
            raise RdaqError(f"--token-file {self.token_file!r}: {error.strerror}", hint=hint) from error
        except UnicodeDecodeError as error:
            raise RdaqError(f"{self.token_file}: there is no token in it", hint=hint) from error
        if len(text.split()) != 1:
            raise RdaqError(f"{self.token_file}: {len(text.split())} words are no token", hint=hint)
        return text

    def command(self, *words: str) -> str:
        """The line of a command to the same server, as one types it."""
        named = (("--host", self.host), ("--token-file", self.token_file), ("--ca", self.certificate))
        return shlex.join(["rdaq", *words, *(word for option in named if option[1] for word in option if word)])

    def connect(self) -> Client:
        """The client of it."""
        return connect(self.address, token=self.token(), certificate=self.certificate)


def ls(where: Where, name: str | None) -> int:
    """The devices, or one with its signals."""
    with where.connect() as client:
        if name is None:
            for device in client.devices:
                can = ", ".join(device.capabilities)
                say(f"{device.name:<16} {device.kind}: {can}; stops by {device.stop_capability}")
            for failed, why in client.devices.failures.items():
                say(f"{failed:<16} not available: {why}")
            return 0
        _tree(client.devices[name])
    return 0


def _tree(found: RemoteDevice | RemoteSignal) -> None:
    if isinstance(found, RemoteSignal):
        limits = f"{found.limits[0]:g} to {found.limits[1]:g}" if found.limits else "|".join(found.choices)
        about = [found.dtype, found.units, limits, "" if found.writable else "read only"]
        say(f"{found.name:<32} {'  '.join(filter(None, about))}")
        return
    for child in found.children.values():
        _tree(child)


def read(where: Where, names: Sequence[str]) -> int:
    """Readings of devices and signals; 1 when one of them has an alarm of severity 2 or more."""
    with where.connect() as client:
        found = client.read(*names)
    return _readings(found)


def _readings(found: Mapping[str, Any]) -> int:
    for key, reading in sorted(found.items()):
        alarm = f"  severity {reading['alarm_severity']}" if reading["alarm_severity"] else ""
        say(f"{key:<32} {reading['value']}{alarm}")
    return int(any(reading["alarm_severity"] >= 2 for reading in found.values()))


def trigger(where: Where, name: str, *, timeout: float) -> int:
    """Take one reading, or do what has none, such as a homing; Ctrl-C stops it. The exit code is that of ``read``."""
    with where.connect() as client:
        device = client.devices[name]
        if not isinstance(device, RemoteDevice):
            raise LimitError(f"{name} is a signal, which has no trigger", hint=f"`rdaq read {name}`")
        found = device.trigger(timeout=timeout)
    if not found:
        say(f"{name} done")
    return _readings(found)


def set_signal(where: Where, name: str, text: str, units: str | None) -> int:
    """Set a signal, and say what was read back.

    :param units: the unit that is meant; another than the signal's is refused.
    """
    if name.partition(".")[0] == "calibration":
        raise LimitError(f"{name} is kept with its reason", hint="rdaq calibrations NAME VALUE --why WHY")
    with where.connect() as client:
        signal = client.devices[name]
        if not isinstance(signal, RemoteSignal):
            hint = f"`rdaq ls {name}` shows its signals; `rdaq mv` moves it, `rdaq trigger` triggers it"
            raise LimitError(f"{name} is no signal", hint=hint)
        if units is not None and units != signal.units:
            is_in = signal.units or "no unit"
            raise UnitsError(f"{name} has {is_in}, not {units!r}", hint=f"give the value in {is_in}")
        say(f"{signal.name} {signal.set(_value(text, signal.dtype))}")
    return 0


def _value(text: str, dtype: str) -> Any:
    """A value as it is written on a command line; what is none is refused by the signal, in its own words."""
    if dtype == "string":
        return text
    if dtype == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text
    return text if value is None or isinstance(value, dict) else value


def mv(where: Where, name: str, target: float, units: str | None, *, relative: bool) -> int:
    """Move, with its progress on a terminal; Ctrl-C stops it."""
    with where.connect() as client:
        device = client.devices[name]
        if not isinstance(device, RemoteDevice):
            raise LimitError(f"{name} is a signal and does not move", hint=f"`rdaq set {name} VALUE`")
        shown = sys.stderr.isatty()
        last = None
        for last in device.moving(target, relative=relative, units=units):
            if shown:
                sys.stderr.write(f"\r{name} {last.current:.6g} {last.units} \x1b[K")
        if shown:
            sys.stderr.write("\r\x1b[K")
        if last is not None:
            say(f"{name} {last.current:.9g}{' ' if device.units else ''}{device.units}")
    return 0


def run(where: Where, name: str, words: Sequence[str], md: Mapping[str, str]) -> int:
    """Run a script by its path, or a plan by its name; 0 only when it ended in success.

    Ctrl-C pauses it, and says how to go on.

    :param md: of the start document.
    """
    with where.connect() as client:
        flow = _begun(client, name, words, md)
        try:
            return _followed(flow)
        except KeyboardInterrupt:
            client.pause()
            ways = [where.command(way) for way in ("resume", "finish", "abort")]
            sys.stderr.write("paused; `{}`, `{}` or `{}`\n".format(*ways))
            return 130


def _begun(client: Client, name: str, words: Sequence[str], md: Mapping[str, str]) -> Run:
    shown = sys.stderr.isatty()
    if name.endswith(".py"):
        return client.begin_script(Path(name), *words, md=md, progress=shown)
    plan = client.plans().get(name)
    arguments = _arguments(plan, words) if plan is not None else {}
    return client.begin(name, md, progress=shown, **arguments)  # it names what is near, where there is no such plan


def _followed(flow: Run) -> int:
    for event in flow:
        if event.what == What.RUN:
            sys.stderr.write(f"scan {event.scan_id}\n")
        elif event.what == What.OUTPUT:
            say(event.output)
        elif event.what in (What.PAUSED, What.RESUMED):
            sys.stderr.write(f"{What.Name(event.what).lower()}\n")
    for uid in flow.uids:
        say(f"{uid} {flow.exit_status}")
    if flow.exit_status != "success":
        sys.stderr.write(f"{flow.exit_status}: {flow.reason}\n")
        return 1
    if flow.result != "None":
        say(flow.result)
    return 0


def _arguments(plan: messages.Plan, words: Sequence[str]) -> dict[str, Any]:
    """``--num 41`` and the like."""
    parser = OptionParser(prog=f"rdaq run {plan.name}", description=plan.doc.split("\n\n")[0], epilog=ALSO)
    for p in plan.parameters:
        if p.name == "md":  # of Bluesky's plans; the run gets it without them
            continue
        default = f" (default: {p.default_text})" if p.default_text else ""
        parser.add_argument(
            f"--{p.name.replace('_', '-')}",
            dest=p.name,
            required=p.required,
            type=_type(p),
            metavar=("DEVICE,..." if p.many else "DEVICE") if p.device else p.name.upper(),
            help=f"{p.help}{default}".replace("%", "%%"),
        )
    return {name: value for name, value in vars(parser.parse_args(words)).items() if value is not None}


def _type(parameter: messages.Parameter) -> Callable[[str], Any]:
    """How a word becomes a value: the server reads single ones from texts, lists are made here."""
    if parameter.many:
        return texts
    schema = json.loads(parameter.schema or "{}")  # there is none of devices
    kinds = {each.get("type"): each for each in schema.get("anyOf", [schema])}
    if "array" not in kinds or "string" in kinds:
        return str
    many = numbers if kinds["array"].get("items", {}).get("type") in ("number", "integer") else texts
    return _one_or(many) if kinds.keys() & SINGLE else many


def _one_or(many: Callable[[str], list[Any]]) -> Callable[[str], Any]:
    """For what may be a single value or a list: a list where there is a comma."""

    @wraps(many)
    def value(word: str) -> Any:
        return many(word) if "," in word else word

    return value


def engine(where: Where, do: Callable[[Client], messages.State]) -> int:
    """Pause, resume or end the plan, and say how it is then."""
    with where.connect() as client:
        _tell(do(client))
    return 0


def resume(where: Where, *, accept_changes: str | None, told: str) -> int:
    """Go on with a paused plan; a refusal says the line that accepts what it tells, and nothing else."""
    if told and accept_changes is None:
        raise LimitError("--told without --accept-changes", hint="add --accept-changes WHY")
    try:
        return engine(where, lambda client: client.resume(accept_changes=accept_changes, told=told))
    except ResumeRefused as refused:
        if refused.may_be_accepted:
            again = where.command("resume", "--accept-changes", "WHY", "--told", refused.what)
            refused.hint = f"put it back and `{where.command('resume')}`, or `{again}`, or `{where.command('abort')}`"
        raise


def watch(where: Where, *, documents: bool) -> int:
    """The state after each change, or the documents as lines of JSON, until Ctrl-C."""
    with where.connect() as client:
        if documents:
            for name, document in client.documents():
                say(encode(name, document).decode().strip())
        for state in client.watch():
            _tell(state)
    return 0


def stop(where: Where, reason: str, *, timeout: float) -> int:
    """Stop everything there; 0 only when every device was confirmed to be safe.

    :param timeout: seconds, of all of it.
    """
    report = stop_there(
        where.address,
        reason,
        token=where.token(),
        certificate=where.certificate,
        timeout=timeout,
        tell=_tell_trouble,
    )
    for verdict in report.verdicts:
        say(f"{verdict.device}: {verdict.outcome}{f' ({verdict.detail})' if verdict.detail else ''}")
    return int(any(verdict.outcome != "confirmed" for verdict in report.verdicts))


def _tell_trouble(trouble: str) -> None:
    try:
        sys.stderr.write(f"not stopped yet, trying again: {trouble}\n")
    except BrokenPipeError:  # that nobody hears it is no reason to try no longer
        silenced()


def stop_device(where: Where, name: str) -> int:
    """Stop one device; nothing is latched."""
    with where.connect() as client:
        client._calls.do(_ask.stop_device(name))  # nothing is looked up before
    say(f"{name}: told to stop")
    return 0


def reset(where: Where, reason: str, *, force: bool) -> int:
    """Accept commands again there."""
    with where.connect() as client:
        client.reset(reason, force=force)
    say("reset; nothing was started")
    return 0


def _tell(state: messages.State) -> None:
    run_ = f", run {state.run_uid[:8]} (scan {state.scan_id})" if state.run_uid else ""
    stopped = f"; {state.why}" if state.stopped else ""
    say(f"{state.rig}: {state.engine}{f' {state.plan}' if state.plan else ''}{run_}{stopped}")


def say(text: str) -> None:
    """A line of output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
