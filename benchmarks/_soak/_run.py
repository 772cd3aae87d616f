"""The soak itself: daemon, clients, stops in the middle and at the end, checks, a table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks._profile import simulated
from benchmarks._served import Served
from benchmarks._soak._checks import Finding, Seen, check
from benchmarks._soak._crew import Crew
from benchmarks._soak.clients import CREW
from rdaq_ophyd.client import connect
from rdaq_ophyd.sim import BenchProcess, start_bench

EVERY = 0.5
"""Seconds between two looks at the daemon's memory."""
DRAINED = 60.0
"""Seconds for what is on its way to reach the catalog, and for calls of those who went to end."""
FRAME = 128
"""Width and height of a frame: two cores carry all of this together."""


class _Memory(threading.Thread):
    """Looks at the daemon's memory until it is told to end."""

    def __init__(self, daemon: Served) -> None:
        super().__init__(name="memory", daemon=True)
        self.samples: list[tuple[float, int]] = []
        self._daemon, self._over, self._began = daemon, threading.Event(), time.monotonic()

    def run(self) -> None:
        while not self._over.wait(EVERY):
            self.samples.append((time.monotonic() - self._began, self._daemon.resident()))

    def end(self) -> None:
        self._over.set()
        self.join(10)


def _stop(daemon: Served, bench: BenchProcess, seen: Seen, when: str) -> None:
    """Stop everything, look whether it did, and reset."""
    with connect(daemon.address, timeout=60) as client:
        called = time.monotonic_ns()
        report = client.stop_all(f"the soak, {when}")
        seconds = (time.monotonic_ns() - called) / 1e9
        arrived = [at for at in bench.arrivals("esp300", b"ST\r") if at > called]
        seen.stops.append((when, {v.device: v.outcome for v in report.verdicts}, bool(arrived), seconds))
        client.reset(f"the soak, {when}", force=True)


def soak(seconds: float, folder: Path, crew: Mapping[str, int] | None = None) -> list[Finding]:
    """Let clients of all kinds loose on a daemon for so long; what was found.

    :param folder: an empty one; the daemon's data and log stay there.
    :param crew: how many of each kind; None: as in ``CREW``.
    """
    wanted = dict(crew or {kind.__name__: count for kind, count in CREW.items()})
    with start_bench(fast=True, lift_baud=True, log_dir=folder) as bench:
        profile = simulated("soak", bench.ports, size=(FRAME, FRAME), card=True)
        with Served(profile, folder, ["--log-format", "json"]) as daemon:
            seen, memory = Seen(), _Memory(daemon)
            with Crew(daemon.address, wanted) as clients:
                memory.start()
                end = time.monotonic() + seconds
                time.sleep(seconds / 2)
                _stop(daemon, bench, seen, "in the middle")
                time.sleep(max(0.0, end - time.monotonic()))
                _stop(daemon, bench, seen, "at the end")
                clients.end()
                seen.told = clients.told
            memory.end()
            seen.memory = memory.samples
            found = check(daemon, seen, DRAINED)
            code = daemon.end()
            found.append(Finding("the daemon ends when it is told to", code == 128 + 15, f"exit code {code}"))
    return found


def main(words: list[str]) -> int:
    """``python -m benchmarks soak``; 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    parser.add_argument("--keep", metavar="DIR", help="keep the daemon's data and log here")
    options = parser.parse_args(words)
    if not 0.05 <= options.minutes <= 100_000:
        parser.error("--minutes: 0.05 to 100000")
    with tempfile.TemporaryDirectory(prefix="rdaq-soak-") as folder:
        place = Path(options.keep or folder)
        place.mkdir(parents=True, exist_ok=True)
        found = soak(options.minutes * 60, place)
    width = max(len(one.what) for one in found)
    for one in found:
        sys.stdout.write(f"{one.what:<{width}}  {'yes' if one.holds else 'NO':<3}  {one.detail}\n")
    return int(not all(one.holds for one in found))
