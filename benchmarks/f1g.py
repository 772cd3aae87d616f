"""F1 through gRPC: from the call of stop-all in another process to the stop at the instrument, all of it busy."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import Result, percentile, spread, times
from benchmarks._apart import Apart
from benchmarks._bare import bare, round_trips
from benchmarks._load import load
from benchmarks._served import Served
from benchmarks._stops import delays, ours
from rdaq_ophyd.client import Client, Run, connect

NAME = "F1G"
TITLE = (
    "stop-all through gRPC: call in another process to stop bytes at a 10 ms instrument whose port 50 clients saturate"
)
LATENCY = 0.010
READERS = 50
TRIALS = 40
GOAL = 5.0
P99 = 0.020
RATE, FRAME = 30, 256
PROFILE = '''
import asyncio

from ophyd_async.core import AsyncStatus, StandardReadable

from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig

rig = Rig("busy")


class Stuck(StandardReadable):
    """A reading of it never ends."""

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        await asyncio.Event().wait()


@rig.device
def stage() -> Esp300:
    return Esp300({url!r}, {{1: "x", 2: "y"}})

@rig.device
def x(stage: Esp300) -> Esp300Axis:
    return stage.axes[1]

@rig.device
def y(stage: Esp300) -> Esp300Axis:
    return stage.axes[2]

@rig.device
def cam(paths) -> SyntheticCamera:
    return SyntheticCamera(paths, width={frame}, height={frame})

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


def _stops(
    client: Client, bench: Apart, begin: Callable[[Client], Run], trials: int
) -> tuple[list[float], list[float]]:
    """Seconds from the call to the stop at the instrument, and until all verdicts were there."""
    arrived, answered = [], []
    for _ in range(trials):
        run = begin(client)
        next(event for event in run if event.run_uid)
        time.sleep(random.uniform(0.05, 0.15))
        bench.forget()
        start = time.monotonic_ns()
        report = client.stop_all("benchmark")
        answered.append((time.monotonic_ns() - start) / 1e9)
        arrived.append((bench.stopped(30.0)[1] - start) / 1e9)
        if not report.verdicts:
            raise RuntimeError("nobody was stopped")
        for _event in run:
            pass
        client.reset("next trial", force=True)
    return arrived, answered


def _served(bench: Apart, trials: int) -> dict[str, tuple[list[float], list[float]]]:
    profile = PROFILE.format(url=bench.url, frame=FRAME)
    with tempfile.TemporaryDirectory(prefix="rdaq-bench-") as folder, Served(profile, Path(folder)) as daemon:
        with connect(daemon.address) as client:
            client.devices.x.enabled.set(True)
            found = {"idle, but for a plan that hangs": _stops(client, bench, _hung, trials)}
            with load(daemon.address, READERS):
                found["50 readers, a plan that hangs"] = _stops(client, bench, _hung, trials)
                found["50 readers, a flight, its frames and documents to two clients each"] = _stops(
                    client, bench, _flight, trials
                )
        return found


def measure() -> Result:
    """The busiest case against what its parts take: stop-all within a process, and a bare call of gRPC."""
    trials = times(TRIALS, 3)
    with Apart("esp300", latency=LATENCY) as bench:
        found = _served(bench, trials)
    with Apart(latency=LATENCY) as bench, ours(bench.url, READERS) as side, bare() as channel:
        within = delays(side, bench, trials)
        calls = round_trips(channel, times(500, 20))
    busiest, _ = list(found.values())[-1]
    p50, peer = statistics.median(busiest), statistics.median(within) + statistics.median(calls)
    return Result(
        figure=p50 * 1e3,
        peer=peer * 1e3,
        ratio=p50 / peer,
        goal=GOAL,
        at_most=True,
        unit="ms",
        peer_name="F1 within a process, and a bare gRPC call",
        notes=[
            *(f"{what}: {spread(arrived, 'ms', 1e3)} ({len(arrived)} trials)" for what, (arrived, _) in found.items()),
            *(f"{what}, until the verdicts were there: {spread(told, 'ms', 1e3)}" for what, (_, told) in found.items()),
            f"within a process, {READERS} readers: {spread(within, 'ms', 1e3)}",
            f"a bare gRPC call to an idle server and back: {spread(calls, 'ms', 1e3)}",
            f"daemon, its clients, instrument and caller are processes of their own; {FRAME}² frames, {RATE}/s",
        ],
        also={
            f"p99 ≤ {P99 * 1e3:g} ms in each case": max(percentile(arrived, 99) for arrived, _ in found.values()) <= P99
        },
    )
