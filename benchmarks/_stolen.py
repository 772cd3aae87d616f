"""The time that the host of a virtual machine gave to others while a program here wanted to run."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PERIOD = 0.01
"""Seconds between two looks; the kernel counts in steps as long (1 / ``SC_CLK_TCK``)."""
_STAT = Path("/proc/stat")
_COLUMN = 8  # of the line "cpu": proc_stat(5), "steal"


def _counted() -> float:
    """Seconds stolen from all processors since the machine began; 0 where nobody counts."""
    if not _STAT.exists():
        return 0.0
    return int(_STAT.read_text().split(maxsplit=_COLUMN + 1)[_COLUMN]) / os.sysconf("SC_CLK_TCK")


class Stolen:
    """What was stolen, as seen in many looks."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.seconds: list[float] = []

    def look(self) -> None:
        """Note how much it is by now."""
        self.times.append(time.time())
        self.seconds.append(_counted())

    def between(self, begin: float, end: float) -> float:
        """Seconds stolen between two times since 1970, with a look's length before and behind."""
        if not self.times:
            return 0.0
        first = max(bisect_left(self.times, begin) - 1, 0)
        last = min(bisect_right(self.times, end), len(self.times) - 1)
        return self.seconds[last] - self.seconds[first]

    @property
    def total(self) -> float:
        """Seconds stolen in all."""
        return self.seconds[-1] - self.seconds[0] if self.seconds else 0.0


@contextmanager
def stolen() -> Iterator[Stolen]:
    """Look on until the end of the block."""
    seen, ended = Stolen(), threading.Event()

    def look() -> None:
        seen.look()
        while not ended.wait(PERIOD):
            seen.look()
        seen.look()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
