"""Stops of a process that cannot stop anything: C code keeps Python's lock, or it was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import times
from benchmarks._apart import ROOT, Apart

SECONDS = times(1.0, 0.6)
"""How long the lock is kept."""


@contextmanager
def _hog(bench: Apart, how: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The process, and the environment in which ``rdaq stop`` finds it and no session of the user's."""
    with tempfile.TemporaryDirectory(prefix="rdaq-bench-") as folder:
        places = {**os.environ, "RDAQ_RUN": f"{folder}/run", "RDAQ_STATE": f"{folder}/state"}
        command = [sys.executable, "-m", "benchmarks._hog", bench.url, f"{SECONDS}", how]
        child = subprocess.Popen(
            command, cwd=ROOT, env=places, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield child, places
        finally:
            child.communicate(timeout=30)


def _line(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    return int(child.stdout.readline())


def by_watchdog(bench: Apart) -> tuple[float, bool]:
    """Seconds from the start of ``rdaq stop`` to the stop at the instrument; whether the lock was still kept then."""
    with _hog(bench, "outside") as (child, places):
        _line(child)
        bench.forget()
        start = time.monotonic_ns()
        rdaq = Path(sys.executable).with_name("rdaq")
        command = [rdaq, "stop", "--timeout", "5"]
        asked = subprocess.run(command, env=places, capture_output=True, text=True, timeout=30, check=False)
        if asked.returncode:
            raise RuntimeError(asked.stdout + asked.stderr)
        arrived = bench.stopped()[1]
        return (arrived - start) / 1e9, arrived < _line(child)


def from_inside(bench: Apart) -> float:
    """Seconds from the moment at which the lock was taken; the call comes after a tenth of the time."""
    with _hog(bench, "inside") as (child, _):
        bench.forget()
        return (bench.stopped()[1] - _line(child)) / 1e9


def after_kill(bench: Apart) -> float:
    """Seconds from ``kill -9`` of the owner to the stop at the instrument."""
    with _hog(bench, "killed") as (child, _):
        _line(child)
        bench.forget()
        start = time.monotonic_ns()
        child.kill()
        return (bench.stopped()[1] - start) / 1e9
