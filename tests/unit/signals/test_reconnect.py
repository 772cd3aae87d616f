"""What devices do when their link is back: one step after the other, whatever goes wrong in one of them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated

import pytest
from ophyd_async.core import SignalRW, SignalW
from parts import until

from rdaq_ophyd.errors import InstrumentError, LinkClosed, WrongInstrument
from rdaq_ophyd.link import Line, LinkState, open_links
from rdaq_ophyd.signals import Ask, LineProtocol, LinkDevice
from rdaq_ophyd.sim import Instrument, Port, serve_pty


class Store(Instrument):
    """``<key>=<text>`` stores, ``<key>?`` recalls; ``E?`` tells whether it is ``broken``."""

    name, baud, terminator = "store", 115_200, b"\r"

    def __init__(self) -> None:
        super().__init__()
        self.values = {"G": "1.0", "P": "0", "O": "5", "I": "serial 1"}
        self.broken = "0"

    def split(self, line):
        return [line]

    def mnemonic(self, command):
        return command[:1]

    def execute(self, command, now):
        if command == "E?":
            return self.broken.encode() + b"\r\n"
        if command.endswith("?"):
            return self.values[command[:-1]].encode() + b"\r\n"
        key, _, text = command.partition("=")
        self.values[key] = text
        return None

    def overlong(self, now):
        raise AssertionError("line too long")


class Amplifier(LinkDevice):
    protocol = LineProtocol(command_end="\r", reply=Line(b"\r\n"), timeout=0.5)
    write_check = "E?"
    gain: Annotated[SignalRW[float], Ask("G?", "G={value:.3f}", restore=True)]
    offset: Annotated[SignalRW[int], Ask("O?", "O={value}", restore=True)]
    power: Annotated[SignalRW[bool], Ask("P?", "P={value:d}")]
    note: Annotated[SignalW[str], Ask(write="N={value}", restore=True)]
    steps: list[str]
    faulty = ""

    def step(self, name: str) -> None:
        self.steps.append(name)
        if name == self.faulty:
            raise ZeroDivisionError(f"a driver's mistake in {name}")

    async def handshake(self) -> None:
        self.step("handshake")

    async def identity(self) -> Mapping[str, str]:
        self.step("identity")
        return {"serial number": await self.channel.ask("I?")}

    async def after_connect(self) -> None:
        self.step("after_connect")

    async def after_reconnect(self) -> None:
        self.step("after_reconnect")

    async def check_write(self, reply: str, command: str) -> None:
        if reply != "0":
            raise InstrumentError(self.name, int(reply), f"refused {command}")


@pytest.fixture
def port(tmp_path: Path):
    with serve_pty(Store(), lift_baud=True, link=tmp_path / "usb-store") as served:
        yield served


@pytest.fixture
async def amplifier(port: Port) -> AsyncIterator[Amplifier]:
    amplifier = Amplifier(port.url, name="amp")
    amplifier.steps = []
    await amplifier.connect()
    await amplifier.gain.set(2.0)
    await amplifier.offset.set(7)
    await amplifier.power.set(True)
    await amplifier.note.set("hello")
    amplifier.steps.clear()
    yield amplifier
    amplifier.close()
    assert open_links() == ()


def forget(port: Port) -> None:
    """Lose power, and with it the settings."""
    port.disconnect()
    port.call(lambda now: port.instrument.values.update(G="1.0", O="5", P="0", N=""))


async def done(device: Amplifier, times: int = 1) -> None:
    member = device._link_connector._member
    await until(lambda: device.channel.link.statistics.reopened == times and not member._before)


async def test_steps_come_in_order_and_power_is_not_given_again(
    amplifier: Amplifier, port: Port, caplog: pytest.LogCaptureFixture
):
    forget(port)
    port.reconnect()
    await done(amplifier)
    assert amplifier.steps == ["handshake", "identity", "after_reconnect", "after_connect"]
    assert port.call(lambda now: dict(port.instrument.values)) == {
        "G": "2.000",
        "O": "7",
        "P": "0",
        "N": "",  # nobody can ask whether it is still there
        "I": "serial 1",
    }
    assert "amp-gain: is 1.0 since its link came back; writing 2.0 again" in caplog.text
    assert "amp-power: is False since its link came back, True was written before; not written again" in caplog.text


async def test_a_mistake_of_a_driver_afterwards_keeps_nothing_from_being_restored(
    amplifier: Amplifier, port: Port, caplog: pytest.LogCaptureFixture
):
    amplifier.faulty = "after_reconnect"
    forget(port)
    port.reconnect()
    await done(amplifier)
    assert await amplifier.gain.get_value() == 2.0
    assert "a driver's mistake in after_reconnect" in caplog.text


async def test_as_long_as_the_handshake_fails_nobody_may_use_the_link(
    amplifier: Amplifier, port: Port, caplog: pytest.LogCaptureFixture
):
    amplifier.faulty = "handshake"
    port.disconnect()
    port.reconnect()
    await until(lambda: amplifier.steps.count("handshake") == 2)
    with pytest.raises(LinkClosed, match="is not known yet"):
        await amplifier.gain.get_value()
    amplifier.faulty = ""
    await done(amplifier)
    assert await amplifier.gain.get_value() == 2.0
    warnings = [r for r in caplog.records if r.levelname == "WARNING" and "not its instrument" in r.message]
    assert len(warnings) == 1


async def test_a_setting_that_the_instrument_refuses_is_told_and_the_others_are_written(
    amplifier: Amplifier, port: Port, caplog: pytest.LogCaptureFixture
):
    port.instrument.broken = "3"
    forget(port)
    port.reconnect()
    await done(amplifier)
    assert "whether amp-gain still has 2.0 is not known: amp: instrument error 3: refused G=2.000" in caplog.text
    assert "whether amp-offset still has 7 is not known" in caplog.text


async def test_what_a_second_loss_kept_from_being_restored_is_restored_later(amplifier: Amplifier, port: Port):
    member = amplifier._link_connector._member
    forget(port)
    await until(lambda: amplifier.channel.link.state is LinkState.LOST)
    member.remember()
    await member.restore()
    assert member._before
    port.reconnect()
    await done(amplifier)
    assert await amplifier.gain.get_value() == 2.0


async def test_a_device_that_is_closed_while_its_instrument_is_awaited(port: Port):
    amplifier = Amplifier(port.url, name="amp")
    amplifier.steps, amplifier.faulty = [], ""
    await amplifier.connect()
    amplifier.faulty = "handshake"
    port.disconnect()
    port.reconnect()
    await until(lambda: amplifier.steps.count("handshake") == 2)
    await asyncio.to_thread(amplifier.close)
    assert open_links() == ()


async def test_devices_on_two_event_loops_are_both_asked(amplifier: Amplifier, port: Port):
    other = Amplifier(port.url, name="other")
    other.steps = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(other.connect(), loop))
        other.steps.clear()
        port.disconnect()
        port.reconnect()
        await done(amplifier)
        assert other.steps[:2] == ["handshake", "identity"]
    finally:
        await asyncio.to_thread(other.close)
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


async def reconnect_by_hand(port: Port, device: Amplifier) -> Amplifier:
    """Another device on the port, connected by hand after a loss before the link came back by itself."""
    other = Amplifier(port.url, name="other")
    other.steps = []
    await other.connect()
    port.disconnect()
    await until(lambda: device.channel.link.state is LinkState.LOST)
    return other


async def test_when_one_device_is_connected_by_hand_the_others_look_too(amplifier: Amplifier, port: Port):
    other = await reconnect_by_hand(port, amplifier)
    port.call(lambda now: port.instrument.values.update(G="1.0", O="5"))
    port.reconnect()
    await other.connect(force_reconnect=True)
    assert amplifier.steps == ["handshake", "identity", "after_reconnect", "after_connect"]
    assert await amplifier.gain.get_value() == 2.0
    other.close()


async def test_connected_by_hand_an_instrument_is_another_one_for_the_others(amplifier: Amplifier, port: Port):
    other = await reconnect_by_hand(port, amplifier)
    port.call(lambda now: port.instrument.values.update(I="serial 2"))
    port.reconnect()
    with pytest.raises(WrongInstrument, match="amp: .*serial 2.*serial 1"):
        await other.connect(force_reconnect=True)
    with pytest.raises(LinkClosed):
        await amplifier.gain.get_value()
    await amplifier.connect(force_reconnect=True)
    await other.connect(force_reconnect=True)
    assert await other.gain.get_value() == 2.0
    other.close()


async def test_another_serial_number_names_both(amplifier: Amplifier, port: Port, caplog: pytest.LogCaptureFixture):
    port.disconnect()
    port.call(lambda now: port.instrument.values.update(I="serial 2"))
    port.reconnect()
    await until(lambda: amplifier.channel.link.state is LinkState.WRONG)
    expected = "another instrument: serial number serial 2; before it was serial number serial 1"
    assert expected in caplog.text
    with pytest.raises(LinkClosed, match=expected):
        await amplifier.gain.get_value()
