"""Whatever people, stops and cables do to a Mai Tai: there is light only where two deliberate steps made it."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lasers import QuickMaiTai, quick_laser, state
from parts import until

from rdaq_ophyd.errors import EmissionRefused, StopLatched
from rdaq_ophyd.link import LinkState
from rdaq_ophyd.sim import Port, serve_pty
from rdaq_ophyd.stop import latch, reset, stop_all

STEPS = [
    "arm",
    "arm",
    "disarm",
    "on",
    "on",
    "off",
    "open",
    "close",
    "tune",
    "stop",
    "stop_all",
    "reset",
    "cable",
    "mains",
]


@dataclass
class Model:
    """The laser as it should be."""

    on: bool = False
    open: bool = False
    armed: bool = False
    stopped: bool = False
    ons: int = 0

    def refusal(self, step: str) -> type[Exception] | None:
        """The error that the step must raise."""
        if self.stopped and step in {"arm", "on", "open", "tune"}:
            return StopLatched
        return EmissionRefused if step == "on" and not self.on and not self.armed else None

    def follow(self, step: str) -> None:
        """A step that was not refused."""
        match step:
            case "arm":
                self.armed = True
            case "on" if not self.on:
                self.on, self.armed, self.ons = True, False, self.ons + 1
            case "off":
                self.on = False
            case "open" | "close":
                self.open = step == "open"
            case "stop_all":
                self.open, self.stopped = False, True
            case "reset":
                self.stopped = False
            case "mains":
                self.on = self.open = False
        if step in {"disarm", "on", "off", "stop", "stop_all", "cable", "mains"}:
            self.armed = False


class Bench:
    """A laser, its driver and its cable."""

    def __init__(self, port: Port, laser: QuickMaiTai) -> None:
        self.port, self.laser, self._back = port, laser, 0

    async def do(self, step: str) -> None:
        laser = self.laser
        match step:
            case "arm" | "disarm":
                await laser.armed.set(step == "arm")
            case "on" | "off":
                await laser.emission.set(step == "on")
            case "open" | "close":
                await laser.shutter.set(step == "open")
            case "tune":
                await laser.wavelength.set(820)
            case "stop":
                await laser.stop()
            case "stop_all":
                await asyncio.to_thread(stop_all, "a test")
            case "reset":
                await asyncio.to_thread(reset, "looked at it")
            case "cable" | "mains":
                await self._pull(lose_power=step == "mains")

    async def _pull(self, *, lose_power: bool) -> None:
        link = self.laser.channel.link
        self.port.disconnect()
        await until(lambda: link.state is LinkState.LOST)
        if lose_power:
            self.port.call(lambda now: setattr(self.port, "instrument", quick_laser()))
        self.port.reconnect()
        self._back += 1
        await until(lambda: link.statistics.reopened == self._back and link.state is LinkState.CONNECTED)


async def compare(bench: Bench, steps: list[str]) -> None:
    model = Model()
    for step in steps:
        if (refusal := model.refusal(step)) is not None:
            with pytest.raises(refusal):
                await bench.do(step)
        else:
            await bench.do(step)
            model.follow(step)
        assert state(bench.port) == (model.on, model.open), step
        assert await bench.laser.armed.get_value() is model.armed, step
    assert bench.port.log.bytes().count(b"\nON\n") == model.ons


async def play(steps: list[str], folder: Path) -> None:
    with serve_pty(quick_laser(), lift_baud=True, link=folder / "laser") as port:
        laser = QuickMaiTai(str(folder / "laser"), "laser", watchdog=30)
        await laser.connect()
        try:
            await compare(Bench(port, laser), steps)
        finally:
            laser.close()


@settings(max_examples=20)
@given(st.lists(st.sampled_from(STEPS), max_size=12))
def test_light_is_only_where_it_was_made(steps: list[str]):
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(play(steps, Path(folder)))
        finally:
            if latch.tripped:
                reset("the example is over", force=True)
