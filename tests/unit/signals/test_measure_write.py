"""Signals that a method of the device reads, and another one sets."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, ClassVar

import pytest
from ophyd_async.core import SignalR, SignalRW
from parts import Echo, until

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.link import Lane, Line, SerialSettings
from rdaq_ophyd.signals import LineProtocol, LinkDevice, Measure, Sample
from rdaq_ophyd.sim import Port, serve_pty


class Door(LinkDevice):
    """Remembers what it was told, with an exchange each."""

    protocol: ClassVar[LineProtocol] = LineProtocol("\r", Line(b"\r\n"), 1.0, SerialSettings(115_200))
    angle: Annotated[SignalRW[float], Measure("_read", write="_turn", units="deg", limits=(0, 90), poll=60.0)]
    seen: Annotated[SignalR[float], Measure("_read")]
    stuck: Annotated[SignalRW[float], Measure("_read")]
    _angle = 0.0

    async def _read(self, lane: Lane) -> Sample:
        return Sample(float(await self.channel.ask(f"Q{self._angle}", lane=lane)))

    async def _turn(self, value: float) -> None:
        await self.channel.tell(f"turn {value}")
        self._angle = value


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Echo(), lift_baud=True) as made:
        yield made


@pytest.fixture
async def door(port: Port) -> AsyncIterator[Door]:
    door = Door(port.url, name="door")
    await door.connect()
    yield door
    door.close()


async def test_a_set_calls_the_method_and_a_read_the_other(door: Door, port: Port):
    await door.angle.set(45.0)
    assert await door.angle.get_value() == 45.0
    assert port.log.bytes().count(b"turn 45.0\r") == 1
    assert (await door.angle.locate()) == {"setpoint": 45.0, "readback": 45.0}


@pytest.mark.parametrize("bad", [-1.0, 91.0, math.nan])
async def test_limits_are_checked_before_the_method_is_called(door: Door, port: Port, bad: float):
    with pytest.raises(LimitError, match="door-angle"):
        await door.angle.set(bad)
    assert b"turn" not in port.log.bytes()


async def test_subscribers_see_what_it_became(door: Door):
    seen: list[float] = []

    def note(reading: dict) -> None:
        seen.append(reading["door-angle"]["value"])

    door.angle.subscribe_reading(note)
    await until(lambda: seen == [0.0])
    await door.angle.set(10.0)
    assert seen[-1] == 10.0  # not at the next poll, a minute later
    door.angle.clear_sub(note)


async def test_without_a_method_it_cannot_be_set(door: Door):
    with pytest.raises(LimitError, match="door-stuck: cannot be written → it is a measurement"):
        await door.stuck.set(1.0)
