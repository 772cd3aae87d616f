"""Instruments that answer each command, and say things unasked: the command tells what its answer looks like."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated

import pytest
from ophyd_async.core import SignalRW, StandardReadable, TriggerableCommand

from rdaq_ophyd.errors import InstrumentError, LimitError
from rdaq_ophyd.link import Framing, Lane
from rdaq_ophyd.signals import Ask, LineProtocol, LinkDevice, Measure, Sample, Tell, WriteChecker
from rdaq_ophyd.sim import Instrument, Port, serve_pty


class Chatty(Instrument):
    """``?`` tells the value, ``=<value>`` sets it and is answered; before each answer it says something else."""

    name, baud, terminator = "chatty", 115_200, b"\r"
    value = "5"

    def split(self, line):
        return [line]

    def mnemonic(self, command):
        return command[:1]

    def overlong(self, now):
        raise AssertionError("line too long")

    def execute(self, command, now):
        if command == "?":
            return f"BUTTON\r\nV{self.value}\r\n".encode()
        if command.startswith("="):
            self.value = command[1:]
        return b"BUTTON\r\nS1\r\n" if self.value == "13" else b"BUTTON\r\nS0\r\n"


@dataclass(frozen=True)
class Marked:
    """The line that begins with a mark."""

    mark: bytes

    def cut(self, buffer: bytearray) -> bytes | None:
        while (at := buffer.find(b"\r\n")) >= 0:
            line = bytes(buffer[:at])
            del buffer[: at + 2]
            if line.startswith(self.mark):
                return line
        return None


class ChattyProtocol(LineProtocol):
    def framing(self, command: str) -> Framing:
        return Marked(b"V" if command == "?" else b"S")


class Device(LinkDevice, StandardReadable):
    protocol = ChattyProtocol(command_end="\r", timeout=0.5)
    heartbeat = "?"
    heartbeat_period = 0.02

    value: Annotated[SignalRW[int], Ask("?", "={value}", parse=lambda reply: int(reply[1:]))]
    half: Annotated[SignalRW[float], Measure("_half", write="_set_half", limits=(0.0, 50.0))]
    read_only: Annotated[SignalRW[float], Measure("_half")]
    reset: Annotated[TriggerableCommand, Tell("=0")]

    @property
    def write_checker(self) -> WriteChecker:
        return WriteChecker("", self.check_write, self.unheard)

    async def check_write(self, reply: str, command: str) -> None:
        if reply != "S0":
            raise InstrumentError(self.name, int(reply[1:]), f"refused {command}")

    async def _half(self, lane: Lane) -> Sample:
        return Sample(int((await self.channel.ask("?", lane=lane))[1:]) / 2)

    async def _set_half(self, value: float) -> None:
        await self.channel.checked(f"={round(2 * value)}", self.write_checker)


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Chatty(), lift_baud=True) as served:
        yield served


@pytest.fixture
async def device(port: Port) -> AsyncIterator[Device]:
    device = Device(port.url, name="device")
    await device.connect()
    yield device
    device.close()


async def test_a_setting_is_judged_by_its_own_answer(device: Device, port: Port):
    await device.value.set(7)
    assert await device.value.get_value() == 7
    with pytest.raises(InstrumentError, match="device: instrument error 1: refused =13"):
        await device.value.set(13)
    await device.reset.execute()
    assert await device.value.get_value() == 0
    lines = port.log.bytes().split(b"\r")
    assert [line for line in lines if line.startswith(b"=")] == [b"=7", b"=13", b"=0"]
    assert device.channel.link.statistics.timeouts == 0


async def test_a_value_that_methods_read_and_write(device: Device, port: Port):
    await device.half.set(3.0)
    assert (await device.half.get_value(), await device.value.get_value()) == (3.0, 6)
    for bad in (51.0, float("nan")):
        with pytest.raises(LimitError):
            await device.half.set(bad)
    with pytest.raises(InstrumentError, match="refused =13"):
        await device.half.set(6.5)
    with pytest.raises(LimitError, match="cannot be written"):
        await device.read_only.set(1.0)


async def test_the_heartbeat_is_answered_and_can_be_another(device: Device, port: Port):
    link = device.channel.link
    count = link.statistics.exchanges
    while link.statistics.exchanges < count + 3:
        await device.channel.settle(0.01)
    link.heartbeat(b"=4\r", Marked(b"S"), 0.02)
    while port.instrument.value != "4":
        await device.channel.settle(0.01)
    assert link.statistics.timeouts == 0
