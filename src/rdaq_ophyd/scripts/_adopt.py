"""While scripts run, a process whose parent has ended comes to this one (Linux), and not to the system's first.

So what a script leaves behind stays in sight, whatever it did to its environment, session and limits: it is a
child of this process that was none before, and may have less than this process itself, as nothing may that this one
begins meanwhile. It is no sandbox: a script that is bent on it can end up somewhere else, through a service of the
system for example.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "linux":
    import resource

__all__ = ["adopting", "hard_limit", "is_adopted", "reaped"]
logger = logging.getLogger(__name__)
_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
GONE = 1.0
"""Seconds for what was killed to be gone."""
LOOKS = 0.005
"""Seconds between two looks."""

_lock = threading.Lock()
_scripts = 0
_before: frozenset[tuple[int, str]] = frozenset()
"""Children of before: number, and when each began."""


@contextmanager
def adopting() -> Iterator[None]:
    """Adopt while the block runs, and others like it."""
    global _scripts, _before
    with _lock:
        _scripts += 1
        if _scripts == 1:
            _before = frozenset(_children())
            _adopt(on=True)
    try:
        yield
    finally:
        with _lock:
            _scripts -= 1
            if not _scripts:
                _adopt(on=False)


def _adopt(*, on: bool) -> None:
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0):
        logger.warning("what a script leaves behind may hide: this system lets no process adopt others")


def _children() -> Iterator[tuple[int, str]]:
    """Of this process."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # over
            _, parent, begun = _stat(place)
            if parent == os.getpid():
                yield int(place.name), begun


def is_adopted(place: Path) -> bool:
    """Whether it was left by the only script that runs; ``place`` is its folder below ``/proc``."""
    _, parent, begun = _stat(place)
    new = parent == os.getpid() and (int(place.name), begun) not in _before
    return new and _scripts == 1 and _has_less(hard_limit(place))


def _has_less(limit: str | None) -> bool:
    own = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    return limit is not None and limit.isdecimal() and (own == resource.RLIM_INFINITY or int(limit) < own)


def hard_limit(place: Path) -> str | None:
    """How large a file of it may be at most."""
    for line in (place / "limits").read_text().splitlines():
        if line.startswith("Max file size"):
            return line.split()[4]  # Max file size SOFT HARD bytes
    return None


def reaped(pids: Iterable[int]) -> None:
    """Wait, bounded, until they have ended, and forget those that are children of this process."""
    left, end = set(pids), time.monotonic() + GONE
    while left := {pid for pid in left if not _is_over(pid)}:
        if time.monotonic() > end:
            logger.warning("processes that a script left behind do not end: %s", sorted(left))
            return
        time.sleep(LOOKS)


def _is_over(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    try:
        return _stat(Path("/proc", str(pid)))[0] in "ZX"  # its parent has yet to look
    except OSError:
        return True


def _stat(place: Path) -> tuple[str, int, str]:
    """State, parent, and when it began, in ticks; see proc(5)."""
    words = (place / "stat").read_text().rpartition(")")[2].split()
    return words[0], int(words[1]), words[19]
