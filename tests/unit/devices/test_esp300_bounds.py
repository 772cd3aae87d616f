"""Limits and stops of the ESP300 under load, on a mute controller, and on a link that breaks."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus
from connected import motors_on
from ophyd_async.core import init_devices
from parts import until

from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.errors import LimitError, LinkClosed, MoveInterrupted, StopUnconfirmed
from rdaq_ophyd.sim import Faults, Port, SimEsp300, serve_pty


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(SimEsp300(speed=5.0), lift_baud=True) as served:
        yield served


@pytest.fixture
async def esp(port: Port) -> AsyncIterator[Esp300]:
    async with motors_on(port, {1: "x", 2: "y"}, limits={1: (-5.0, 8.0)}) as esp:
        yield esp


def moves_sent(port: Port) -> list[bytes]:
    """Commands that start a motion."""
    lines = port.log.bytes().replace(b";", b"\r").split(b"\r")
    return [line for line in lines if line[1:3] in {b"PA", b"PR", b"OR"} and not line.endswith(b"?")]


async def test_the_tighter_of_the_instruments_and_the_profiles_limits_holds(esp: Esp300, port: Port):
    for signal, bad, allowed in (
        (esp.x, 8.1, "-5 to 8 mm"),
        (esp.x, -5.1, "-5 to 8 mm"),
        (esp.y, 12.6, "-12.5 to 12.5 mm"),
        (esp.x.setpoint, 8.1, "-5 to 8 mm"),
        (esp.y.setpoint, -12.6, "-12.5 to 12.5 mm"),
        (esp.x.setpoint, math.nan, "-5 to 8 mm"),
    ):
        with pytest.raises(LimitError, match=f"allowed: {allowed}"):
            await signal.set(bad)
    await esp.x.high_limit.set(2.0)
    for signal in (esp.x, esp.x.setpoint):
        with pytest.raises(LimitError, match="allowed: -5 to 2 mm"):
            await signal.set(3.0)
    await esp.x.high_limit.set(20.0)
    with pytest.raises(LimitError, match="allowed: -5 to 8 mm"):
        await esp.x.setpoint.set(9.0)
    assert moves_sent(port) == []
    described = await esp.x.setpoint.describe()
    assert described["esp-x-setpoint"]["limits"]["control"] == {"low": -5.0, "high": 8.0}
    await esp.x.set(7.9)
    assert moves_sent(port) == [b"1PA7.9000000"]


@pytest.mark.parametrize("bad", [(1.0, -1.0), (0.0, 0.0), (math.nan, 1.0), (0.0, math.inf), (1.0,), ("a", "b")])
def test_limits_that_are_none_are_refused(bad):
    with pytest.raises((LimitError, ValueError), match="limits"):
        Esp300Axis("/dev/x", 1, "x", limits=bad)
    with pytest.raises((LimitError, ValueError), match="limits"):
        Esp300("/dev/x", {1: "x"}, "esp", limits={1: bad})


def test_limits_of_an_axis_that_is_not_in_use_are_refused():
    with pytest.raises(ValueError, match="limits.*2"):
        Esp300("/dev/x", {1: "x"}, "esp", limits={2: (0.0, 1.0)})


def test_relative_moves_are_checked_as_absolute(engine: RunEngine, port: Port):
    with init_devices():
        x = Esp300Axis(port.url, 1, limits=(-5.0, 8.0))
    try:
        engine(bps.mv(x.enabled, True))
        engine(bps.mv(x, 7.0))
        sent = moves_sent(port)
        for distance in (1.5, -12.5, math.nan, math.inf):
            with pytest.raises((FailedStatus, LimitError)) as caught:
                engine(bps.mvr(x, distance))
            assert isinstance(caught.value, LimitError) or isinstance(caught.value.__cause__, LimitError)
        assert moves_sent(port) == sent
        engine(bps.mvr(x, 0.5))
        assert engine(bps.rd(x)).plan_result == pytest.approx(7.5, abs=1e-3)
    finally:
        x.close()


async def _read_for_ever(axis: Esp300Axis) -> None:
    while True:
        await axis.readback.get_value(cached=False)


@pytest.mark.parametrize("moving", [True, False])
async def test_a_stop_passes_fifty_readers(moving: bool):
    with serve_pty(SimEsp300(latency=0.01), lift_baud=True) as port:
        async with init_devices():
            esp = Esp300(port.url, {1: "x", 2: "y"})
        await esp.x.enabled.set(True)
        await esp.x.velocity.set(5.0)
        status = esp.x.set(20.0) if moving else None
        if moving:
            await until(lambda: b"1MD?" in port.log.bytes().partition(b"1PA")[2])
        readers = [asyncio.create_task(_read_for_ever(esp.y)) for _ in range(50)]
        await until(lambda: port.log.bytes().count(b"2TP?") > 60)
        since = len(port.log.bytes())
        await esp.x.stop()
        passed = port.log.bytes()[since:].count(b"2TP?")
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert (b"1ST\r" in port.log.bytes()[since:]) is True
        if moving:
            with pytest.raises(RuntimeError, match="stop"):
                await status
        else:
            assert passed < 50, "the question waited behind the readers"
        esp.close()


async def test_a_stop_of_a_mute_controller_is_bounded(esp: Esp300, port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rdaq_ophyd.devices._confirm.PATIENCE", 0.7)
    monkeypatch.setattr("rdaq_ophyd.devices._esp300_axis.STOP_MARGIN", 0.3)
    await esp.x.velocity.set(1.0)
    status = esp.x.set(7.0)
    await until(lambda: b"1MD?" in port.log.bytes().partition(b"1PA")[2])
    readers = [asyncio.ensure_future(esp.y.readback.get_value(cached=False)) for _ in range(50)]
    await asyncio.sleep(0)
    port.faults = Faults(mute=True)
    begun = time.monotonic()
    for stopping in (asyncio.ensure_future(esp.x.stop()), asyncio.ensure_future(esp.stop())):
        with pytest.raises(StopUnconfirmed, match="esp-.: stop was sent, but not confirmed: ."):
            await stopping
    # Deceleration (ms here) and 1 s, where the fifty readers take their time-out each; the rest is for a busy machine.
    assert time.monotonic() - begun < 10
    assert b"1ST\r" in port.log.bytes()
    with pytest.raises((RuntimeError, MoveInterrupted, ConnectionError)):
        await status
    port.faults = Faults()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await esp.x.stop()


async def test_a_stop_of_the_controller_counts_for_axes_of_their_own(port: Port):
    async with init_devices():
        esp = Esp300(port.url, {2: "y"})
        x = Esp300Axis(port.url, 1)
    await x.enabled.set(True)
    await x.velocity.set(1.0)
    for halt in (esp.halt, lambda: asyncio.ensure_future(esp.stop()), esp.halt_all.trigger):
        status = x.set(20.0)
        await until(lambda: port.instrument.axes[1].trajectory.target == 20.0)
        waited = halt()
        with pytest.raises(MoveInterrupted, match="x: told to stop"):
            await status
        if waited is not None:
            await waited
        await x.set(0.0)
    since = len(port.log.bytes())
    status = x.set(20.0)
    esp.halt()
    with pytest.raises(MoveInterrupted, match="nothing was sent"):
        await status
    assert b"1PA" not in port.log.bytes()[since:]
    x.close()
    esp.close()


async def test_a_move_that_loses_its_link_says_where_the_axis_was_last(esp: Esp300, port: Port):
    await esp.x.velocity.set(1.0)
    status = esp.x.set(7.0)
    await until(lambda: (esp.x.last(esp.x.readback, 0.0) or 0.0) > 0.2)
    port.disconnect()
    seen = r"esp-x: lost on its way to 7; it was seen \d\.\d s ago at \d\.\d+ mm and may still be moving"
    with pytest.raises(LinkClosed, match=seen) as caught:
        await status
    assert isinstance(caught.value.__cause__, LinkClosed)


async def test_a_set_right_after_a_stopped_move_is_not_held_up(esp: Esp300, port: Port):
    await esp.x.velocity.set(5.0)
    for turns in range(0, 60, 3):
        status = esp.x.set(7.0 if turns % 2 else -4.0)
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping = asyncio.ensure_future(esp.x.stop())
        for _ in range(turns % 5):
            await asyncio.sleep(0)
        again = esp.x.set(0.0)
        # ophyd-async forgets why the first one was cancelled when the next is asked for before it has ended.
        with pytest.raises((MoveInterrupted, RuntimeError, asyncio.CancelledError)):
            await status
        done, _ = await asyncio.wait([again.task], timeout=5)
        assert done, f"held up after {turns} turns"
        await stopping
        if (error := again.task.exception()) is not None:
            assert isinstance(error, MoveInterrupted | RuntimeError), error
            assert "stop" in str(error)


async def test_a_fault_in_the_reply_to_a_cancelled_write_is_not_lost(esp: Esp300, port: Port):
    await esp.x.enabled.set(False)
    port.faults = Faults(reply_delay=0.2)  # it comes after the cancel
    sent = port.log.bytes().count(b"1PA")
    writing = asyncio.ensure_future(_write(esp.x.setpoint, 1.0))
    await until(lambda: port.log.bytes().count(b"1PA") > sent)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    port.faults = Faults()
    await esp.x.done.get_value(cached=False)
    assert [fault.code for fault in esp.x.errors.claim(1)] == [113]


async def _write(signal, value: float) -> None:
    await signal.set(value)
