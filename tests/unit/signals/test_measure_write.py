"""Signals that a method of the device sets, and an instrument that was changed on purpose."""

from collections.abc import Iterator
from typing import Annotated

import pytest
from ophyd_async.core import SignalR, SignalRW, init_devices
from parts import Echo, until

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.link import Lane, Line, open_links
from rdaq_ophyd.signals import Ask, LineProtocol, LinkDevice, Measure, Sample
from rdaq_ophyd.sim import Port, serve_pty


class Kept(LinkDevice):
    """What is said to it comes back."""

    protocol = LineProtocol(command_end="\r", reply=Line(b"\r\n"), timeout=1.0)

    number: Annotated[SignalRW[float], Measure("_read", limits=(0.0, 5.0), units="mm", initial=1.0, write="_write")]
    reading: Annotated[SignalR[float], Measure("_read")]
    plain: Annotated[SignalRW[float], Ask("Q7", "S{value}", limits=(0.0, 9.0))]

    kept = 2.0
    serial_number = "1"

    async def _read(self, lane: Lane) -> Sample:
        return Sample(float(await self.channel.ask(f"Q{self.kept}", lane=lane)))

    async def _write(self, value: float) -> None:
        await self.channel.tell(f"S{value}")
        self.kept = value

    async def identity(self) -> dict[str, str]:
        return {"serial": self.serial_number}


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Echo(), lift_baud=True) as served:
        yield served


@pytest.fixture
async def device(port: Port):
    async with init_devices():
        device = Kept(port.url)
    yield device
    device.close()
    assert open_links() == ()


async def test_a_method_sets_it_and_its_followers_hear_of_it(device: Kept, port: Port):
    heard: list[float] = []
    device.follow(device.number, heard.append)
    await device.number.set(3.5)
    assert b"S3.5\r" in port.log.bytes()
    assert await device.number.get_value() == 3.5
    assert heard[0] == 3.5


async def test_its_limits_hold_before_the_method_is_called(device: Kept, port: Port):
    for bad in (5.1, -0.1, float("nan")):
        with pytest.raises(LimitError, match="device-number"):
            await device.number.set(bad)
    assert b"S" not in port.log.bytes()
    assert (device.limits_of(device.number), device.limits_of(device.reading)) == ((0.0, 5.0), None)


async def test_subscribers_see_at_once_what_it_became(device: Kept):
    seen: list[float] = []

    def note(reading: dict) -> None:
        seen.append(reading["device-number"]["value"])

    device.number.subscribe_reading(note)
    await until(lambda: seen == [2.0])
    await device.number.set(3.0)
    assert seen[-1] == 3.0
    device.number.clear_sub(note)


async def test_without_a_method_it_is_a_measurement(device: Kept):
    with pytest.raises(LimitError, match="cannot be written.*it is a measurement"):
        await device._link_connector.backend_of(device.reading).put(1.0)


async def test_an_instrument_that_was_changed_on_purpose_is_known_again(device: Kept, port: Port):
    backend = device._link_connector.backend_of(device.plain)
    await device.plain.set(4.0)
    assert backend.written == 4.0
    device.serial_number = "2"
    await device.reacquaint()
    assert backend.written is None


async def test_in_mock_mode():
    async with init_devices(mock=True):
        device = Kept("/dev/not-there")
    await device.number.set(2.0)
    assert await device.number.get_value() == 2.0
    await device.reacquaint()
