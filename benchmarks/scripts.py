"""SCRIPTS: messages a second of a script in a process of its own, against the same plan beside the engine."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StandardReadable, soft_signal_rw

from benchmarks import Result, times
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.scripts import Script, ScriptLimits, Source
from rdaq_ophyd.startup import make_run_engine, stop_loop

NAME = "SCRIPTS"
TITLE = "messages a second of a script in a process of its own, against the same plan beside the engine"
MESSAGES, POINTS, ROUNDS = 2000, 200, 3
GOAL = 0.25
SCRIPT = b"""
import time
from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable

def plan(axis: Movable[float], meter: Readable, what: str, num: int):
    begun = time.perf_counter()
    for point in range(num):
        if what == "null":
            yield from bps.null()
        else:
            yield from bps.mv(axis, float(point))
            yield from bps.trigger(meter, wait=True)
            yield from bps.read(meter)
            yield from bps.read(axis)
    return time.perf_counter() - begun
"""
A_POINT = 6
"""Messages: set, wait, trigger, wait, read, read."""


class Soft(StandardReadable):
    """Answers at once."""

    def __init__(self, name: str) -> None:
        with self.add_children_as_readables():
            self.value = soft_signal_rw(float, 0.0)
        super().__init__(name=name)

    def set(self, value: float) -> Any:
        """Take it."""
        return self.value.set(value)

    def trigger(self) -> Any:
        """Measure nothing."""
        return self.value.set(1.0)


class Bench:
    """An engine with two soft devices."""

    def __init__(self) -> None:
        self.rig = Rig("soft")
        for name in ("axis", "meter"):
            self.rig.add(name, lambda name=name: Soft(name), place="here")
        self.rig.build()
        self.engine: Any = make_run_engine(
            {}, scan_id_source=lambda _md: 1, devices=lambda: self.rig.devices.values(), person=False
        )
        call_in_bluesky_event_loop(self.rig.connect(), timeout=20)
        here: dict[str, Any] = {}
        exec(compile(SCRIPT, "scripts", "exec"), here)
        self._plan = here["plan"]

    def beside(self, what: str, num: int) -> float:
        """Seconds of the plan beside the engine."""
        plan = self._plan(self.rig["axis"], self.rig["meter"], what, num)
        return float(self.engine(plan).plan_result)

    def apart(self, what: str, num: int) -> float:
        """Seconds of the plan in a process of its own."""
        source = Source("scripts.py", SCRIPT, ("--what", what, "--num", str(num)))
        loading = Script.load(source, self.rig, ScriptLimits(), print)
        script = asyncio.run_coroutine_threadsafe(loading, self.engine.loop).result(60)
        return float(self.engine(script.plan).plan_result)

    def close(self) -> None:
        """End it."""
        stop_loop(self.engine)


def measure() -> Result:
    """Run both in turn."""
    bench, rounds = Bench(), int(times(ROUNDS, 1))
    found: dict[tuple[str, str], list[float]] = {}
    try:
        for _ in range(rounds):
            for what, num in (("null", int(times(MESSAGES, 100))), ("point", int(times(POINTS, 20)))):
                found.setdefault((what, "beside"), []).append(bench.beside(what, num) / num)
                found.setdefault((what, "apart"), []).append(bench.apart(what, num) / num)
    finally:
        bench.close()
    beside, apart = (statistics.median(found["point", how]) / A_POINT for how in ("beside", "apart"))
    null = {how: statistics.median(found["null", how]) for how in ("beside", "apart")}
    return Result(
        figure=1 / apart,
        peer=1 / beside,
        ratio=beside / apart,
        goal=GOAL,
        unit="messages/s",
        peer_name="the same plan beside the engine",
        notes=[
            f"a scan point of {A_POINT} messages with soft devices: {beside * A_POINT * 1e3:.2f} ms beside the engine, "
            f"{apart * A_POINT * 1e3:.2f} ms as a script: {(apart - beside) * 1e6:.0f} µs more a message",
            f"`null`: {null['beside'] * 1e6:.0f} µs beside the engine, {null['apart'] * 1e6:.0f} µs as a script",
            "a real scan point takes some 100 ms to move and to read: what the process costs is lost in that",
        ],
    )
