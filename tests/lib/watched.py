"""A session in a process of its own, on a simulated ESP300, for tests that end or stop it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER = Path(__file__).with_name("owner.py")


@contextmanager
def owner(port, latch: Path, what: str = "wait", bound: float = 10.0) -> Iterator[tuple[subprocess.Popen, int]]:
    """A process in mid-move on ``port``, and the pid of its watchdog. What shall leave waits for a line."""
    command = [sys.executable, str(OWNER), port.url, str(latch), what, str(bound)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        said = process.stdout.readline().split()
        assert said, process.stderr.read()
        wait(lambda: moving(port), "the axis moves")
        yield process, int(said[1])
    finally:
        process.kill()
        process.communicate()


def wait(condition, what: str) -> None:
    """Wait until ``condition()``, at most 20 s."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def moving(port) -> bool:
    """Whether axis 1 moves, as the simulated controller knows it."""
    return port.call(lambda now: port.instrument.axes[1].velocity(now) != 0)
