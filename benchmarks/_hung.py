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
        # What a watchdog says to the terminal of a process that was killed is meant for its user.
        said = subprocess.DEVNULL if how == "killed" else None
        child = subprocess.Popen(
            command, cwd=ROOT, env=places, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        try:
            yield child, places
        finally:
            child.communicate(timeout=30)
            _watchdog_gone(Path(places["RDAQ_RUN"]))


def _watchdog_gone(run_dir: Path) -> None:
    """Wait until the watchdog has done its work and let go of the port, at most 30 s."""
    end = time.monotonic() + 30.0
    while any(map(_alive, run_dir.glob("*.json"))):
        if time.monotonic() > end:
            raise RuntimeError("the watchdog is still there after 30 s")
        time.sleep(0.01)


def _alive(runfile: Path) -> bool:
    try:
        os.kill(int(runfile.stem), 0)
    except ProcessLookupError:
        return False
    return True


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
