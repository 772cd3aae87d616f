"""F1 through gRPC: from the call of stop-all in another process to the stop at the instrument, all of it busy."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from benchmarks import Result, percentile, spread, times
from benchmarks._apart import Apart
from benchmarks._echo import bare, round_trips
from benchmarks._load import load
from benchmarks._profile import simulated
from benchmarks._served import Served
from benchmarks._stops import delays, ours
from rdaq_ophyd.client import Client, Run, connect

NAME = "F1G"
TITLE = (
    "stop-all through gRPC: call in another process to stop bytes at a 10 ms instrument whose port 50 clients saturate"
)
LATENCY = 0.010
READERS = 50
TRIALS = 15
GOAL = 2.0
P99 = 0.020
RATE, FRAME = 30, 256
STUCK = '''
import asyncio

from ophyd_async.core import AsyncStatus, StandardReadable


class Stuck(StandardReadable):
    """A reading of it never ends."""

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        await asyncio.Event().wait()


@rig.device
def stuck() -> Stuck:
    return Stuck()
'''


def _flight(client: Client) -> Run:
    """An axis that flies past a camera, for minutes."""
    return client.begin("fly_scan", cam="cam", x="x", start=0.0, stop=20.0, num=3000, rate=RATE, exposure=0.01)


def _hung(client: Client) -> Run:
    """A plan that waits for a reading that never comes."""
    return client.begin("time_series", power_meter="stuck", num=2, period=0.0)


@dataclass
class _Case:
    """Seconds from call to stop at the instrument, to the last verdict, and of bare calls between the trials."""

    arrived: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def _stops(client: Client, bench: Apart, channel: grpc.Channel, begin: Callable[[Client], Run], trials: int) -> _Case:
    case = _Case()
    for _ in range(trials):
        run = begin(client)
        next(event for event in run if event.run_uid)
        time.sleep(random.uniform(0.05, 0.15))
        case.bare += round_trips(channel, 1)
        time.sleep(random.uniform(0.01, 0.03))
        bench.forget()
        start = time.monotonic_ns()
        report = client.stop_all("benchmark")
        case.answered.append((time.monotonic_ns() - start) / 1e9)
        case.arrived.append((bench.stopped(30.0)[1] - start) / 1e9)
        if not report.verdicts:
            raise RuntimeError("nobody was stopped")
        for _event in run:
            pass
        client.reset("next trial", force=True)
    return case


def _served(bench: Apart, trials: int) -> dict[str, _Case]:
    profile = simulated("busy", {"esp300": bench.url}, size=(FRAME, FRAME), more=STUCK)
    with tempfile.TemporaryDirectory(prefix="rdaq-bench-") as folder, Served(profile, Path(folder)) as daemon:
        with connect(daemon.address) as client, bare() as channel:
            client.devices.x.enabled.set(True)
            found = {"idle, but for a plan that hangs": _stops(client, bench, channel, _hung, trials)}
            with load(daemon.address, READERS):
                for what, begin in (("a plan that hangs", _hung), ("a flight, two viewers, two listeners", _flight)):
                    found[f"{READERS} readers, {what}"] = _stops(client, bench, channel, begin, trials)
        return found


def measure() -> Result:
    """The busiest case against what its parts take: stop-all within a process, and a bare call of gRPC."""
    trials = times(TRIALS, 3)
    with Apart("esp300", latency=LATENCY) as bench:
        found = _served(bench, trials)
    with Apart(latency=LATENCY) as bench, ours(bench.url, READERS) as side:
        within = delays(side, bench, trials)
    busiest = list(found.values())[-1]
    p50, peer = statistics.median(busiest.arrived), statistics.median(within) + statistics.median(busiest.bare)
    notes = [f"within a process, {READERS} readers: {spread(within, 'ms', 1e3)}"]
    for what, case in found.items():
        notes += [
            f"{what}: {spread(case.arrived, 'ms', 1e3)} ({len(case.arrived)} trials)",
            f"{what}, a bare gRPC call to an idle server between the trials: {spread(case.bare, 'ms', 1e3)}",
            f"{what}, until the verdicts were there: {spread(case.answered, 'ms', 1e3)}",
        ]
    notes.append(f"daemon, its clients, instrument and caller are processes of their own; {FRAME}² frames, {RATE}/s")
    late = max(percentile(case.arrived, 99) - percentile(case.bare, 99) for case in found.values())
    return Result(
        figure=p50 * 1e3,
        peer=peer * 1e3,
        ratio=p50 / peer,
        goal=GOAL,
        at_most=True,
        unit="ms",
        peer_name="F1 within a process, and a bare gRPC call",
        notes=notes,
        also={f"p99 at most {P99 * 1e3:g} ms above that of a bare call, in each case": late <= P99},
    )
