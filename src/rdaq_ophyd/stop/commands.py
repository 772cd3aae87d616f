"""``rdaq stop``, ``reset``, ``status`` and ``trace``: from another process, with nothing heavy to load first."""

from __future__ import annotations

import getpass
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import RdaqError

from ._client import ask, ask_all
from ._latch import Latch, read_record, trip_file
from ._places import state_dir
from ._runfile import RunFile, running
from ._verdict import Outcome, Verdict

QUICK = 5.0
"""Seconds for an answer that needs no instrument."""
__all__ = ["anything_here", "reset", "status", "stop", "trace"]


def stop(reason: str, *, timeout: float) -> int:
    """Stop everything: every watchdog halts, every owner halts and confirms, all at once.

    :param reason: recorded.
    :param timeout: seconds to wait for verdicts.
    :return: 0 only when every device was confirmed to be safe.
    """
    if not 0 < timeout <= 3600:
        raise RdaqError(f"--timeout {timeout:g} is out of range", hint="give more than 0 and at most 3600 seconds")
    reason = reason.strip() or "rdaq stop"
    found = running()
    owners = [process for process in found if not process.watches]
    if not owners:
        _err("no process of yours owns instruments on this machine; nothing was stopped")
        _err("what still moves was set in motion by something else: use the instrument's own stop")
        return 1
    _latch_all(owners)
    halts: dict[int, Mapping[str, Any]] = {}
    dogs = [process for process in found if process.watches]
    threads = [threading.Thread(target=_halt, args=(dog, reason, halts), daemon=True) for dog in dogs]
    for thread in threads:
        thread.start()
    answers = ask_all(owners, timeout, do="stop", reason=reason, by=_who())
    for thread in threads:
        thread.join(QUICK)
    codes = [_tell(owner, answer, halts.get(owner.pid)) for owner, answer in zip(owners, answers, strict=True)]
    return max(codes)


def anything_here() -> bool:
    """Whether a process of this user owns instruments on this machine."""
    return any(not process.watches for process in running())


def _halt(dog: RunFile, reason: str, halts: dict[int, Mapping[str, Any]]) -> None:
    halts[dog.watches] = ask(dog, QUICK, do="halt", reason=reason, by=_who())


def _latch_all(owners: list[RunFile]) -> None:
    """First of all the latches, so that also a process that hangs now refuses everything when it comes back."""
    for owner in owners:
        if owner.latch:
            try:
                trip_file(Path(owner.latch))
            except RdaqError as error:
                _err(str(error))


def _tell(owner: RunFile, answer: Mapping[str, Any], halt: Mapping[str, Any] | None) -> int:
    _out(f"process {owner.pid} ({owner.what}):")
    if "report" in answer:
        _out(str(answer["report"]))
        return 1 if answer["unconfirmed"] else 0
    _out(f"  {answer.get('error')}; nothing is confirmed")
    if halt is None:
        _out("  it has no watchdog")
    elif "troubles" in halt:
        troubles = [str(trouble) for trouble in halt["troubles"]]
        _out("  its watchdog wrote the halts" + (", but: " + "; ".join(troubles) if troubles else ""))
    else:
        _out(f"  its watchdog: {halt.get('error')}")
    return 1


def reset(reason: str, *, force: bool) -> int:
    """Take stops back, in every process and in the files of rigs that no process uses.

    :return: 0 when nothing is latched any more.
    """
    if not reason.strip():
        raise RdaqError("a reset needs a reason", hint="say what you found at the bench; it is recorded")
    owners = [process for process in running() if not process.watches]
    answers = ask_all(owners, 60.0, do="reset", reason=reason, by=_who(), force=force)
    for owner, answer in zip(owners, answers, strict=True):
        if "error" not in answer:
            _out(f"process {owner.pid} ({owner.what}): reset")
    failed = [(owner, answer["error"]) for owner, answer in zip(owners, answers, strict=True) if "error" in answer]
    for owner, error in failed:
        _err(f"process {owner.pid} ({owner.what}): {error}")
    code = 1 if failed else 0
    # A watchdog without its session is still at work on that rig.
    used = {process.latch for process in running()}
    for dog in [p for p in running() if p.watches and p.latch and p.watches not in {owner.pid for owner in owners}]:
        _err(f"rig {Path(dog.latch).name}: its watchdog is still making it safe; try again in a few seconds")
        code = 1
    for path in _latches():
        if str(path) not in used:
            try:
                code = max(code, _reset_file(path, reason, force=force))
            except RdaqError as error:
                _err(str(error))
                code = 1
    return code


def _reset_file(path: Path, reason: str, *, force: bool) -> int:
    latch = Latch()
    latch.attach(path)
    try:
        trips = latch.trips
        if not latch.tripped:
            return 0
        doubtful = [str(v) for v in latch.verdicts or () if v.outcome is not Outcome.CONFIRMED]
        if not latch.verdicts:
            doubtful = ["no device was asked since the stop, as far as the record tells"]
        if doubtful and not force:
            _err(f"rig {path.name}: not reset, since nobody can say that these are safe: {'; '.join(doubtful)}")
            _err("start a session, which asks them again, and reset there; or look, then: rdaq reset --force REASON")
            return 1
        if not latch.clear(reason + (" (forced)" if force else ""), _who(), trips):
            _err(f"rig {path.name}: not reset: meanwhile {latch.why}")
            return 1
        _out(f"rig {path.name}: reset")
        return 0
    finally:
        latch.detach()


def status() -> int:
    """Who owns instruments, and what is stopped.

    :return: 0 when nothing is stopped, 1 when something is.
    """
    found = running()
    owners = [process for process in found if not process.watches]
    watched = {process.watches for process in found if process.watches}
    stopped, used = False, {owner.latch for owner in owners}
    for owner in owners:
        answer = ask(owner, QUICK, do="status")
        _out(f"process {owner.pid} ({owner.what}){'' if owner.pid in watched else ', without a watchdog'}")
        _out(f"  {answer['error']}" if "error" in answer else f"  devices: {', '.join(answer['devices'])}")
        if "error" in answer and owner.latch:
            stopped = _tell_file(Path(owner.latch), "which does not answer now") or stopped
        if answer.get("tripped"):
            stopped = True
            _out(f"  STOPPED: {answer['why']}")
            for verdict in answer["verdicts"]:
                _out(f"    {verdict}")
    if not owners:
        _out("no process of yours owns instruments on this machine")
    for path in _latches():
        if str(path) not in used:
            stopped = _tell_file(path, "in no process now") or stopped
    return 1 if stopped else 0


def _tell_file(path: Path, where: str) -> bool:
    """Tell what a latch file says; True when it is tripped, or cannot be read."""
    try:
        if not _tripped(path):
            return False
    except RdaqError as error:
        _err(str(error))
        return True
    record = read_record(path)
    _out(f"rig {path.name}, {where}, is STOPPED: {record['reason'] if record else 'no record of why'}")
    for verdict in record["verdicts"] if record else ():
        _out(f"    {Verdict.from_json(verdict)}")
    return True


def trace(port: str) -> int:
    """Print the last bytes that went to and came from an instrument.

    :return: 0 when there was such a port.
    """
    for owner in (process for process in running() if not process.watches):
        answer = ask(owner, QUICK, do="trace", port=port)
        for line in answer.get("lines", ()):
            _out(str(line))
        if answer.get("lines"):
            return 0
        if "error" in answer:
            _err(f"process {owner.pid} ({owner.what}): {answer['error']}")
    _err(f"no process of yours has anything to tell of {port!r}; `rdaq status` lists who owns instruments")
    return 1


def _latches() -> list[Path]:
    folder = state_dir() / "latch"
    return sorted(path for path in folder.iterdir() if not path.suffix) if folder.is_dir() else []


def _tripped(path: Path) -> bool:
    latch = Latch()
    latch.attach(path)
    try:
        return latch.tripped
    finally:
        latch.detach()


def _who() -> str:
    try:
        user = getpass.getuser()
    except OSError:  # a user id without a name (containers)
        user = f"uid {os.getuid()}"
    return f"{user} (rdaq, process {os.getpid()})"


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")


def _err(text: str) -> None:
    sys.stderr.write(f"rdaq: {text}\n")
