"""The command line on a rig elsewhere: ``rdaq ls``, ``read``, ``set``, ``mv``, ``run --host``, ``watch`` …"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from rdaq_ophyd.document_lines import encode
from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.wire import messages

from ._client import Client, connect
from ._device import RemoteDevice, RemoteSignal
from ._runs import Run, What
from ._stop import stop_there

HOST = "127.0.0.1:50051"
"""Where `rdaq serve` listens unless told otherwise."""
SINGLE = {"number", "integer", "boolean"}
"""Kinds of single values, as JSON Schema calls them, that are no texts."""
__all__ = ["HOST", "Where", "engine", "ls", "mv", "read", "reset", "run", "set_signal", "stop", "watch"]


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
        """``host:port``."""
        return self.host or os.environ.get("RDAQ_HOST") or HOST

    def token(self) -> str | None:
        """The token itself.

        :raises RdaqError: its file cannot be read.
        """
        if not self.token_file:
            return os.environ.get("RDAQ_TOKEN")
        try:
            return Path(self.token_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise RdaqError(f"{self.token_file}: {error.strerror}", hint="give the file with your token") from error

    def connect(self) -> Client:
        """The client of it."""
        return connect(self.address, token=self.token(), certificate=self.certificate)


def ls(where: Where, name: str | None) -> int:
    """The devices, or one with its signals."""
    with where.connect() as client:
        if name is None:
            for device in client.devices:
                can = ", ".join(device.capabilities)
                _say(f"{device.name:<16} {device.kind}: {can}; stops by {device.stop_capability}")
            for failed, why in client.devices.failures.items():
                _say(f"{failed:<16} not available: {why}")
            return 0
        _tree(client.devices[name])
    return 0


def _tree(found: RemoteDevice | RemoteSignal) -> None:
    if isinstance(found, RemoteSignal):
        limits = f"{found.limits[0]:g} to {found.limits[1]:g}" if found.limits else "|".join(found.choices)
        about = [found.dtype, found.units, limits, "" if found.writable else "read only"]
        _say(f"{found.name:<32} {'  '.join(filter(None, about))}")
        return
    for child in found.children.values():
        _tree(child)


def read(where: Where, names: Sequence[str]) -> int:
    """Readings of devices and signals; 1 when one of them has an alarm of severity 2 or more."""
    with where.connect() as client:
        found = client.read(*names)
    for key, reading in found.items():
        alarm = f"  severity {reading['alarm_severity']}" if reading["alarm_severity"] else ""
        _say(f"{key:<32} {reading['value']}{alarm}")
    return int(any(reading["alarm_severity"] >= 2 for reading in found.values()))


def set_signal(where: Where, name: str, text: str) -> int:
    """Set a signal, and say what was read back."""
    with where.connect() as client:
        signal = client.devices[name]
        if not isinstance(signal, RemoteSignal):
            raise LimitError(f"{name} is no signal", hint=f"`rdaq ls {name}` shows its signals; `rdaq mv` moves it")
        _say(f"{signal.name} {signal.set(_value(text, signal.dtype))}")
    return 0


def _value(text: str, dtype: str) -> Any:
    """A value as it is written on a command line."""
    if dtype == "string":
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def mv(where: Where, name: str, target: float, units: str | None, *, relative: bool) -> int:
    """Move, with its progress on a terminal; Ctrl-C stops it."""
    with where.connect() as client:
        device = client.devices[name]
        shown = sys.stderr.isatty()
        last = None
        for last in device.moving(target, relative=relative, units=units):
            if shown:
                sys.stderr.write(f"\r{name} {last.current:.6g} {last.units} \x1b[K")
        if shown:
            sys.stderr.write("\r\x1b[K")
        if last is not None:
            _say(f"{name} {last.current:.9g}{' ' if device.units else ''}{device.units}")
    return 0


def run(where: Where, name: str, words: Sequence[str]) -> int:
    """Run a script by its path, or a plan by its name; 0 only when it ended in success.

    Ctrl-C pauses it, and says how to go on.
    """
    with where.connect() as client:
        flow = _begun(client, name, words)
        try:
            return _followed(flow)
        except KeyboardInterrupt:
            client.pause()
            sys.stderr.write("paused; `rdaq resume`, `rdaq finish` or `rdaq abort`\n")
            return 130


def _begun(client: Client, name: str, words: Sequence[str]) -> Run:
    shown = sys.stderr.isatty()
    if name.endswith(".py"):
        return client.begin_script(Path(name), *words, progress=shown)
    plan = client.plans().get(name)
    arguments = _arguments(plan, words) if plan is not None else {}
    return client.begin(name, progress=shown, **arguments)  # it names what is near, where there is no such plan


def _followed(flow: Run) -> int:
    for event in flow:
        if event.what == What.RUN:
            sys.stderr.write(f"scan {event.scan_id}\n")
        elif event.what == What.OUTPUT:
            _say(event.output)
        elif event.what in (What.PAUSED, What.RESUMED):
            sys.stderr.write(f"{What.Name(event.what).lower()}\n")
    for uid in flow.uids:
        _say(f"{uid} {flow.exit_status}")
    if flow.exit_status != "success":
        sys.stderr.write(f"{flow.exit_status}: {flow.reason}\n")
        return 1
    if flow.result != "None":
        _say(flow.result)
    return 0


def _arguments(plan: messages.Plan, words: Sequence[str]) -> dict[str, Any]:
    """``--num 41`` and the like."""
    import argparse

    parser = argparse.ArgumentParser(prog=f"rdaq run {plan.name}", description=plan.doc.split("\n\n")[0])
    for p in plan.parameters:
        default = f" (default: {p.default_text})" if p.default_text else ""
        parser.add_argument(
            f"--{p.name.replace('_', '-')}",
            dest=p.name,
            required=p.required,
            type=_type(p),
            metavar="DEVICE" if p.device else p.name.upper(),
            help=f"{p.help}{default}".replace("%", "%%"),
        )
    return {name: value for name, value in vars(parser.parse_args(words)).items() if value is not None}


def _type(parameter: messages.Parameter) -> Callable[[str], Any]:
    """How a word becomes a value: the server reads single ones from texts, lists are made here."""
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


def texts(word: str) -> list[str]:
    """``x,y``; argparse tells this function's name where a word does not fit."""
    return [part for part in word.split(",") if part]


def numbers(word: str) -> list[float]:
    """``1,0.5``."""
    return [float(part) for part in texts(word)]


def engine(where: Where, do: Callable[[Client], messages.State]) -> int:
    """Pause, resume or end the plan, and say how it is then."""
    with where.connect() as client:
        _tell(do(client))
    return 0


def watch(where: Where, *, documents: bool) -> int:
    """The state after each change, or the documents as lines of JSON, until Ctrl-C."""
    with where.connect() as client:
        if documents:
            for name, document in client.documents():
                _say(encode(name, document).decode().strip())
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
        tell=lambda trouble: sys.stderr.write(f"not stopped yet, trying again: {trouble}\n"),
    )
    for verdict in report.verdicts:
        _say(f"{verdict.device}: {verdict.outcome}{f' ({verdict.detail})' if verdict.detail else ''}")
    return int(any(verdict.outcome != "confirmed" for verdict in report.verdicts))


def reset(where: Where, reason: str, *, force: bool) -> int:
    """Accept commands again there."""
    with where.connect() as client:
        client.reset(reason, force=force)
    _say("reset; nothing was started")
    return 0


def _tell(state: messages.State) -> None:
    run_ = f", run {state.run_uid[:8]} (scan {state.scan_id})" if state.run_uid else ""
    stopped = f"; {state.why}" if state.stopped else ""
    _say(f"{state.rig}: {state.engine}{f' {state.plan}' if state.plan else ''}{run_}{stopped}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
