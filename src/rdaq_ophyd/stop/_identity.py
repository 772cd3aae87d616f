"""Which process a verdict is of: two that share a rig may each have a device of the same name."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

_speaking_for = ""


def owner() -> str:
    """The process whose devices are judged here: this one, or the one that this watchdog speaks for."""
    return _speaking_for or _own(os.getpid())


def speak_for(pid: int) -> None:
    """From now on verdicts of this process are of another one's devices."""
    global _speaking_for
    _speaking_for = identity(pid)


def identity(pid: int) -> str:
    """``PID``, and on Linux when it began and in which boot: numbers are used again."""
    began = _began(pid)
    return f"{pid}-{began}-{_boot()}" if began else str(pid)


def pid_of(process: str) -> str:
    """The number in an identity, for people."""
    return process.partition("-")[0]


def is_gone(process: str) -> bool:
    """Whether that process has certainly ended; an empty identity is of a record that does not tell."""
    number, _, began = process.partition("-")
    if not number.isdecimal():
        return True
    if began:
        return identity(int(number)) != process
    return not alive(int(number))


def alive(pid: int) -> bool:
    """Whether there is a process with that number, as far as can be told."""
    if sys.platform == "win32":
        return True  # asking would end it there; a request to a process that is gone fails by itself
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@functools.cache
def _own(pid: int) -> str:
    return identity(pid)


def _began(pid: int) -> str:
    """Clock ticks since the boot, field 22 of proc(5); empty for one that is gone, a zombie, and not on Linux."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


@functools.cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return ""
