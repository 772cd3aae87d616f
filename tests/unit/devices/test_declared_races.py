"""Stops of a declared instrument against what waits, what is in flight and an instrument that is mute."""

from __future__ import annotations

import asyncio
import time

import pytest
from declaredstage import change, stage, state
from parts import until

from rdaq_ophyd.errors import MoveInterrupted, StopUnconfirmed
from rdaq_ophyd.sim import Faults


async def test_a_stop_takes_back_a_setpoint_that_waits_for_the_port():
    async with stage() as (device, port):
        port.call(lambda _: port.instrument.latencies.update({"1V?": 0.5}))
        slow = asyncio.ensure_future(device.channel.ask("{node}V?"))
        await until(lambda: port.log.bytes().endswith(b"1V?\n"))
        move = asyncio.ensure_future(device.movable_logic.move(50.0, lambda: 5.0))
        await until(lambda: device.channel.link.statistics.queued > 0)
        device.halt()
        with pytest.raises(MoveInterrupted, match="told to stop as it was being sent to 50"):
            await move
        assert await slow == "1000.000"
        assert await device.position.get_value() == state(port)["t"] == 0.0
        assert b"1T 50" not in port.log.bytes()


async def test_a_halt_goes_past_fifty_readers():
    async with stage() as (device, port):
        port.call(lambda _: setattr(port.instrument, "latency", 0.01))
        change(port, v=1.0)
        move = device.set(50.0)
        await until(lambda: b"1T 50" in port.log.bytes())
        readers = [asyncio.ensure_future(device.channel.ask("{node}V?")) for _ in range(50)]
        await until(lambda: port.log.bytes().count(b"1V?") > 3)
        asked = port.log.bytes().count(b"1V?")
        device.halt()
        await until(lambda: b"1H\n" in port.log.bytes())
        log = port.log.bytes()
        before = log[: log.index(b"1H\n")].count(b"1V?")
        assert before - asked <= 2  # it waited for none of them
        assert set(await asyncio.gather(*readers)) == {"1.000"}  # and each got its own answer
        with pytest.raises(MoveInterrupted):
            await move


async def test_a_stop_of_a_mute_instrument_is_bounded_and_honest():
    async with stage() as (device, port):
        port.faults = Faults(mute=True)
        start = time.monotonic()
        with pytest.raises(StopUnconfirmed, match="stage: stop was sent, but not confirmed"):
            await device.stop()
        assert time.monotonic() - start < 0.3 + 3.0 + 1.0
        assert b"1H\n" in port.log.bytes()
        port.faults = Faults()
        await device.stop()


async def test_what_the_instrument_says_of_a_command_is_not_lost_with_its_sender(caplog):
    async with stage() as (device, port):
        port.call(lambda _: setattr(port.instrument, "latency", 0.05))
        setting = device.target.set(99.5)
        await until(lambda: b"1T 99.5" in port.log.bytes())
        setting.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await setting
        await until(lambda: "instrument error 7: range (after '1T 99.500')" in caplog.text)
        await device.target.set(1.0)


async def test_a_move_that_is_cancelled_at_any_step_stops_and_leaves_the_device_usable():
    async with stage() as (device, port):
        await device.speed.set(20.0)
        for step in range(12):
            move = device.set(30.0)
            for _ in range(step * 3):
                await asyncio.sleep(0)
            move.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await move
            await until(lambda: state(port)["t"] == state(port)["p"])
        assert await device.position.get_value() == pytest.approx(state(port)["p"], abs=1e-3)
        assert (await device.mode.get_value()) == "closed"
