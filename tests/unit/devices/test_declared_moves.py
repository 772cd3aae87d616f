"""Moves and stops of a declared instrument."""

from __future__ import annotations

import asyncio
import math

import pytest
from declaredstage import STAGE, change, stage, state
from parts import until

from rdaq_ophyd import stop
from rdaq_ophyd.capabilities import stop_capability
from rdaq_ophyd.errors import (
    LimitError,
    LinkClosed,
    MoveInterrupted,
    MoveTimeout,
    StopLatched,
    StopUnconfirmed,
)
from rdaq_ophyd.stop import Outcome


async def test_a_move_arrives_and_a_staged_read_sees_it():
    async with stage(pty=True) as (device, _):
        await device.stage()
        await device.set(5.0)
        assert (await device.read())["stage"]["value"] == pytest.approx(5.0)
        assert await device.locate() == {"setpoint": 5.0, "readback": 5.0}
        await device.unstage()


@pytest.mark.parametrize("bad", [100.5, -101, math.nan, math.inf])
async def test_a_target_outside_is_refused_before_a_byte_is_sent(bad):
    async with stage() as (device, port):
        before = port.log.bytes().count(b"1T ")
        with pytest.raises(LimitError, match="stage"):
            await device.set(bad)
        with pytest.raises(LimitError):
            await device.check_value(bad)
        assert port.log.bytes().count(b"1T ") == before


async def test_a_move_needs_what_the_file_requires():
    async with stage() as (device, _):
        await device.mode.set("open loop")
        with pytest.raises(LimitError, match="is not sent anywhere while stage-mode is open loop → it must be closed"):
            await device.set(1.0)


async def test_a_stop_preempts_is_confirmed_and_can_be_repeated():
    async with stage() as (device, port):
        await device.speed.set(5.0)
        move = device.set(50.0)
        await until(lambda: b"1T 50" in port.log.bytes())
        await device.stop()
        with pytest.raises((MoveInterrupted, RuntimeError)):
            await move
        assert state(port)["t"] == state(port)["p"] < 50
        place = state(port)["p"]
        await device.stop()
        await device.stop(success=True)
        assert state(port)["p"] == place


async def test_a_stop_that_counts_as_success_ends_the_move_so():
    async with stage() as (device, port):
        await device.speed.set(5.0)
        move = device.set(50.0)
        await until(lambda: b"1T 50" in port.log.bytes())
        await device.stop(success=True)
        await move
        assert state(port)["p"] < 50


async def test_a_stop_before_the_move_was_sent_prevents_it():
    async with stage() as (device, port):
        before = port.log.bytes().count(b"1T ")
        move = device.set(50.0)
        device.halt()
        with pytest.raises(MoveInterrupted, match="nothing was sent"):
            await move
        assert port.log.bytes().count(b"1T ") == before


async def test_a_stop_that_is_not_confirmed_says_so():
    async with stage() as (device, port):
        change(port, stuck=1)
        with pytest.raises(StopUnconfirmed, match="still moving 0.3 s after it was told to stop"):
            await device.stop()


async def test_a_move_that_ends_elsewhere_and_one_that_never_ends():
    async with stage() as (device, port):
        await device.speed.set(5.0)
        move = device.set(50.0)
        await until(lambda: b"1T 50" in port.log.bytes())
        port.call(lambda now: port.instrument.execute("1H", now))  # at its front panel
        with pytest.raises(MoveInterrupted, match="not 50 .* somebody else stopped it"):
            await move
        move = device.set(50.0, timeout=0.1)
        with pytest.raises(MoveTimeout, match="on its way to 50"):
            await move
        await until(lambda: state(port)["t"] == state(port)["p"])  # it was told to stop


async def test_a_lost_link_fails_the_move_and_it_is_stopped_when_it_is_back(caplog):
    async with stage() as (device, port):
        await device.speed.set(2.0)
        move = device.set(50.0)
        await until(lambda: b"1T 50" in port.log.bytes())
        port.disconnect()
        with pytest.raises(LinkClosed):
            await move
        sent = port.log.bytes().count(b"1T ")
        halts = port.log.bytes().count(b"1H")
        port.reconnect()
        await until(lambda: port.log.bytes().count(b"1H") > halts)
        await until(lambda: device._link_connector._link.is_open)
        assert port.log.bytes().count(b"1T ") == sent
    assert "it is told to stop" in caplog.text


async def test_stop_all_halts_confirms_and_latches():
    async with stage() as (device, port):
        await device.speed.set(5.0)
        move = device.set(50.0)
        await until(lambda: b"1T 50" in port.log.bytes())
        report = await asyncio.to_thread(stop.stop_all, "a test")
        assert [(v.device, v.outcome) for v in report.verdicts] == [("stage", Outcome.CONFIRMED)]
        with pytest.raises((MoveInterrupted, RuntimeError)):
            await move
        sent = port.log.bytes().count(b"1T ")
        with pytest.raises(StopLatched):
            await device.target.set(3.0)
        with pytest.raises(StopLatched):
            await device.speed.set(3.0)
        await device.zero.execute()  # declared safe
        assert port.log.bytes().count(b"1T ") == sent
        stop.reset("the test goes on", force=True)
        await device.target.set(3.0)


@pytest.mark.parametrize("success", [True, False])
async def test_without_a_declared_stop_nothing_is_sent_and_the_wait_ends(success):
    at = STAGE.index("[stop]"), STAGE.index("[sim]")
    async with stage(STAGE[: at[0]] + STAGE[at[1] :]) as (device, port):
        assert "nothing is sent" in str(stop_capability(device))
        assert not hasattr(device, "halt")
        assert device.safe_states() == ()
        await device.speed.set(5.0)
        for _ in range(5):
            sent = port.log.bytes().count(b"1T 50")
            move = device.set(50.0)
            await until(lambda sent=sent: port.log.bytes().count(b"1T 50") > sent)
            await device.stop(success)
            if success:
                await move
            else:
                with pytest.raises((MoveInterrupted, RuntimeError)):
                    await move
        assert b"1H\n" not in port.log.bytes()


async def test_what_may_be_restored_is_and_nothing_else():
    async with stage() as (device, port):
        await device.speed.set(7.0)
        await device.target.set(3.0)
        port.disconnect()
        change(port, v=1.0, t=0.0)  # it lost its power
        port.reconnect()
        await until(lambda: state(port)["v"] == 7.0)
        assert state(port)["t"] == 0.0
        assert port.log.bytes().count(b"1T ") == 1
