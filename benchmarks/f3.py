"""F3: ``RE.abort()`` and a pause while three axes move, one slow to stop, in a plan with a slow clean-up."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky import RunEngine, RunEngineInterrupted

from benchmarks import Result, spread, times
from benchmarks._apart import Apart
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.devices.esp300 import Esp300Axis
from rdaq_ophyd.startup import Session, start

NAME = "F3"
TITLE = "RE.abort() with a 2 s clean-up, three axes moving, one of which takes 1 s to stop: stop bytes at the last axis"
FINALIZER = times(2.0, 0.2)
SPEED = 2.0
"""mm/s"""
STOPPING = times(1.0, 0.2)
"""Seconds that the slow axis takes to stop."""
FAST = 40.0
FAR = 20.0
BOUND = 0.010
PROFILE = """
from rdaq_ophyd.devices.esp300 import Esp300Axis
from rdaq_ophyd.rig import Rig

rig = Rig("bench")
urls = {urls!r}

@rig.device
def a() -> Esp300Axis:
    return Esp300Axis(urls[0], 1)

@rig.device
def b() -> Esp300Axis:
    return Esp300Axis(urls[1], 1)

@rig.device
def d() -> Esp300Axis:
    return Esp300Axis(urls[2], 1)
"""


def _without_tiled() -> contextlib.AbstractContextManager[object]:
    """It takes a core for seconds."""
    return mock.patch.object(EmbeddedCatalog, "start")


@contextlib.contextmanager
def _session(bench: Apart) -> Iterator[Session]:
    """A session with an axis on each port; nothing is written outside of a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="rdaq-bench-") as folder:
        profile = Path(folder) / "bench.py"
        profile.write_text(PROFILE.format(urls=bench.urls))
        places = {"TILED_PROFILES": "tiled", "RDAQ_STATE": "state", "RDAQ_RUN": "run"}
        with (
            mock.patch.dict(os.environ, {name: f"{folder}/{place}" for name, place in places.items()}),
            times(contextlib.nullcontext, _without_tiled)(),
            start(str(profile), data_dir=f"{folder}/data", operator="benchmark") as session,
        ):
            yield session


class Bench:
    """Three axes on three ports, and plans that move them to and fro."""

    def __init__(self, instruments: Apart, axes: Sequence[Esp300Axis]) -> None:
        self.instruments, self.axes = instruments, axes
        self._target = FAR

    def prepare(self) -> Any:
        """A plan: motors on, the second axis slow to stop."""
        for axis, rate in zip(self.axes, (FAST, SPEED / STOPPING, FAST), strict=True):
            yield from bps.mv(axis.enabled, True)
            yield from bps.mv(axis.velocity, SPEED, axis.deceleration, rate, axis.acceleration, FAST)

    def _plan(self) -> Any:
        self._target = -self._target
        move = bps.mv(*(item for axis in self.axes for item in (axis, self._target)))
        return bpp.finalize_wrapper(move, _clean_up)

    def trial(self, engine: RunEngine, interrupt: Callable[[], object]) -> float:
        """Interrupt a move; seconds until the first stop had arrived at the last of the axes."""
        called: list[int] = []

        def call() -> None:
            time.sleep(0.5 + random.uniform(0.0, 0.1))  # all are at speed
            self.instruments.forget()
            called.append(time.monotonic_ns())
            interrupt()

        thread = threading.Thread(target=call)
        thread.start()
        with contextlib.redirect_stdout(io.StringIO()):
            with contextlib.suppress(RunEngineInterrupted):
                engine(self._plan())
            thread.join()
            if engine.state == "paused":
                engine.halt()
        return (max(self._first_stops(called[0]).values()) - called[0]) / 1e9

    def _first_stops(self, since: int) -> dict[int, int]:
        found: dict[int, int] = {}
        while len(found) < len(self.axes):
            port, ns = self.instruments.stopped()
            if ns >= since:
                found.setdefault(port, ns)
        return found


def _clean_up() -> Any:
    yield from bps.sleep(FINALIZER)


def measure() -> Result:
    """Our session and a bare RunEngine in turn, with the same devices."""
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)
    with Apart("esp300", count=3, limit=True) as instruments, _session(instruments) as session:
        bench = Bench(instruments, [session.rig[name] for name in "abd"])
        engines = {"ours": session.RE, "bare": RunEngine({}, call_returns_result=True)}
        session.RE(bench.prepare())
        found: dict[tuple[str, str], list[float]] = {}
        for number in range(times(5, 1)):
            for name, engine in engines.items():
                if name == "bare" and number % 2:
                    continue
                found.setdefault((name, "abort"), []).append(bench.trial(engine, engine.abort))
                pause = bench.trial(engine, lambda engine=engine: engine.request_pause(defer=False))
                found.setdefault((name, "pause"), []).append(pause)
    return _result(found)


def _result(found: dict[tuple[str, str], list[float]]) -> Result:
    mine, peer = found["ours", "abort"], found["bare", "abort"]
    worst = max(mine + found["ours", "pause"])
    return Result(
        figure=max(mine) * 1e3,
        peer=statistics.median(peer) * 1e3,
        ratio=worst / BOUND,
        goal=1.0,
        unit="ms",
        peer_name="bare RunEngine, async stop()",
        at_most=True,
        notes=[
            f"the ratio is the slowest of all trials, abort or pause, against the bound of {BOUND * 1e3:g} ms; three "
            "ports at true 19200 baud",
            *(
                f"{'bare RunEngine' if name == 'bare' else 'ours'}, {what}: {spread(values, 'ms', 1e3)} "
                f"({len(values)} trials)"
                for (name, what), values in found.items()
            ),
            "the bare RunEngine stops its devices one after another, in no order, an abort after the plan's clean-up: "
            "2 s, and 1 s more when the slow axis was not the last one",
        ],
    )
