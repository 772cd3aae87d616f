"""Fly moves of an ESP300 axis against the controller's simulator on a real pty."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from connected import motors_on
from ophyd_async.core import FlyMotorInfo, init_devices
from parts import until

from rdaq_ophyd import stop
from rdaq_ophyd.capabilities import Capability, capabilities
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.errors import (
    InstrumentError,
    LimitError,
    LinkClosed,
    MoveInterrupted,
    MoveTimeout,
    RdaqError,
    StopLatched,
)
from rdaq_ophyd.sim import Port, SimEsp300, serve_pty

# x: 50 mm/s, 200 mm/s² by default, at most 200 mm/s and 800 mm/s²
ACROSS = FlyMotorInfo(start_position=-2.0, end_position=3.0, time_for_move=0.25)
SLOWLY = FlyMotorInfo(start_position=0.0, end_position=20.0, time_for_move=10.0)


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(SimEsp300(speed=5.0), lift_baud=True) as served:
        yield served


@pytest.fixture
async def esp(port: Port) -> AsyncIterator[Esp300]:
    async with motors_on(port, {1: "x", 2: "y"}, max_velocities={1: 100.0}) as esp:
        yield esp


@pytest.fixture
def x(esp: Esp300) -> Esp300Axis:
    return esp.x


def written(port: Port, *names: str) -> list[str]:
    """Commands of axis 1 among ``names`` that are no questions."""
    lines = port.log.bytes().decode("latin-1").replace(";", "\r").split("\r")
    return [line for line in lines if line[:1] == "1" and line[1:3] in names and not line.endswith("?")]


async def test_a_fly_move_is_at_constant_velocity_between_its_positions(x: Esp300Axis, port: Port):
    assert {Capability.PREPARABLE, Capability.FLYABLE, Capability.COLLECTABLE} <= capabilities(x)
    await x.prepare(ACROSS)
    # 20 mm/s, 200 mm/s²: ramps of 0.1 s and 1 mm
    assert (await x.read())["esp-x"]["value"] == pytest.approx(-3.0, abs=0.01)
    assert written(port, "VA") == []
    await x.kickoff()
    assert await x.velocity.get_value() == pytest.approx(20.0)
    assert x.positions.position[-1] >= -2.0
    updates: list[dict] = []
    status = x.complete()
    status.watch(lambda **update: updates.append(update))
    await status
    assert (await x.read())["esp-x"]["value"] == pytest.approx(4.0, abs=0.01)
    assert await x.velocity.get_value() == 50.0
    assert written(port, "PA", "VA") == ["1PA-3.0000000", "1VA20.000000", "1PA4.0000000", "1VA50.000000"]
    assert {(u["target"], u["unit"], u["name"]) for u in updates} == {(4.0, "mm", "esp-x")}
    assert not x.movable_logic.flying


async def test_the_other_way(x: Esp300Axis):
    await x.deceleration.set(100.0)
    await x.prepare(FlyMotorInfo(start_position=3.0, end_position=-2.0, time_for_move=0.25))
    assert (await x.read())["esp-x"]["value"] == pytest.approx(4.0, abs=0.01)
    await x.kickoff()
    assert x.positions.position[-1] <= 3.0
    await x.complete()
    assert (await x.read())["esp-x"]["value"] == pytest.approx(-4.0, abs=0.01)  # the run-down is that of AG
    assert np.all(np.diff(x.positions.position) <= 0.0)


async def test_positions_tell_where_the_axis_was(x: Esp300Axis, port: Port):
    await x.prepare(ACROSS)
    await x.kickoff()
    await x.complete()
    taken = x.positions
    assert len(taken) == len(taken.position) == len(taken.uncertainty) >= 4
    assert np.all(np.diff(taken.time) > 0)
    # The simulated axis was there at some time between question and answer; its clock is that of the port.
    ahead = max(port.call(lambda now: now - time.time()) for _ in range(20))
    trajectory = port.instrument.axes[1].trajectory
    for when, place, half in zip(taken.time, taken.position, taken.uncertainty, strict=True):
        before, after = (trajectory.state(when + ahead + sign * (half + 1e-3))[0] for sign in (-1, 1))
        assert before - 1e-3 <= place <= after + 1e-3
    middle = (taken.time[0] + taken.time[-1]) / 2
    assert trajectory.state(middle + ahead)[0] == pytest.approx(float(taken.at(middle)), abs=5.0)
    await x.prepare(ACROSS)
    await x.kickoff()
    assert x.positions.time[0] > taken.time[-1]
    await x.complete()


@pytest.mark.parametrize(
    ("start", "end", "seconds", "why"),
    [
        (-24.5, 0.0, 0.5, "run-up begins"),
        (0.0, 24.5, 0.5, "run-down ends"),
        (0.0, 26.0, 1.0, "target 26 mm is outside"),
        (-26.0, 0.0, 1.0, "target -26 mm is outside"),
        (0.0, 10.0, 0.099, "101.01 is outside 0 to 100"),
        (1.0, 1.0, 1.0, "two different positions"),
        (0.0, 1.0, math.inf, "two different positions"),
        (math.nan, 1.0, 1.0, "not a finite number"),
        (0.0, math.inf, 1.0, "not a finite number"),
    ],
)
async def test_what_is_beyond_the_limits_is_refused_before_anything_is_written(
    x: Esp300Axis, port: Port, start: float, end: float, seconds: float, why: str
):
    info = FlyMotorInfo(start_position=start, end_position=end, time_for_move=seconds)
    with pytest.raises(LimitError, match=why):
        await x.prepare(info)
    assert written(port, "PA", "VA") == []
    with pytest.raises(RuntimeError, match="prepare"):
        await x.kickoff()


@pytest.mark.parametrize("how", ["stop", "halt", "thread", "controller", "stop_all"])
async def test_any_stop_ends_a_fly_move_and_gives_the_velocity_back(x: Esp300Axis, esp: Esp300, port: Port, how: str):
    await x.prepare(SLOWLY)
    await x.kickoff()
    completing = x.complete()
    if how == "stop":
        await x.stop()
    elif how == "controller":
        await esp.stop()
    elif how == "stop_all":
        await asyncio.to_thread(stop.stop_all, "a test")
    elif how == "thread":
        thread = threading.Thread(target=x.halt)
        thread.start()
        thread.join()
    else:
        x.halt()
    with pytest.raises(MoveInterrupted, match="esp-x: told to stop on its way"):
        await completing
    assert (await x.read())["esp-x"]["value"] < 15.0
    if how == "stop_all":
        with pytest.raises(StopLatched):
            await x.set(0.0)
        stop.reset("the test", force=True)
        await x.set(0.0)  # begins with the velocity
    assert await x.velocity.get_value() == 50.0
    assert port.log.bytes().partition(b"1VA2.0")[2].count(b"1PA20") == 1


async def test_a_stop_without_anybody_waiting_for_the_end(x: Esp300Axis, port: Port, caplog):
    await x.prepare(SLOWLY)
    await x.kickoff()
    with caplog.at_level(logging.INFO):
        await x.stop()
    assert not x.movable_logic.flying
    assert "the fly move ended early: esp-x: told to stop" in caplog.text
    assert await x.velocity.get_value() == 50.0
    with pytest.raises(MoveInterrupted):
        await x.complete()
    await x.prepare(ACROSS)


async def test_a_stop_that_counts_as_success(x: Esp300Axis):
    await x.prepare(SLOWLY)
    await x.kickoff()
    completing = x.complete()
    await x.stop(success=True)
    await completing


async def test_a_stop_during_the_run_up_ends_the_kickoff(x: Esp300Axis, port: Port):
    await x.acceleration.set(10.0)  # 4 mm/s: 0.4 s
    await x.prepare(FlyMotorInfo(start_position=0.0, end_position=20.0, time_for_move=5.0))
    starting = x.kickoff()
    await until(lambda: x.movable_logic.track.samples)
    x.halt()
    with pytest.raises(MoveInterrupted):
        await starting
    assert (await x.read())["esp-x"]["value"] < 0.0


async def test_a_stop_before_a_kickoff_began_lets_nothing_be_sent(x: Esp300Axis, port: Port):
    await x.prepare(ACROSS)
    sent = written(port, "PA", "VA")
    starting = x.kickoff()
    x.halt()
    with pytest.raises(MoveInterrupted, match="nothing was sent"):
        await starting
    assert written(port, "PA", "VA") == sent
    preparing = x.prepare(SLOWLY)
    x.halt()
    with pytest.raises(MoveInterrupted, match="nothing was sent"):
        await preparing
    assert written(port, "PA", "VA") == sent


async def test_a_stop_at_any_moment_of_a_kickoff_leaves_nothing_moving(x: Esp300Axis, port: Port):
    for turns in range(0, 80, 5):
        await x.prepare(SLOWLY)
        status = x.kickoff()
        for _ in range(turns):
            await asyncio.sleep(0)
        x.halt()
        try:
            await status
            await x.complete()
        except MoveInterrupted:
            pass
        else:
            raise AssertionError(f"flew on after {turns} turns")
        await x.stop()
        assert await x.done.get_value(cached=False) is True
        assert await x.velocity.get_value() == 50.0


@pytest.mark.parametrize("when", ["kickoff", "complete"])
async def test_cancelled_it_stops_the_axis(x: Esp300Axis, port: Port, when: str):
    await x.acceleration.set(10.0)
    await x.prepare(SLOWLY)
    status = x.kickoff()
    if when == "complete":
        await status
        status = x.complete()
    await until(lambda: len(x.movable_logic.track.samples) > 2)
    status.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await status
    await until(lambda: not x.movable_logic.flying)
    await until(lambda: b"1ST\r" in port.log.bytes())
    assert await x.velocity.get_value() == 50.0
    await x.stop()


@pytest.mark.parametrize("fault", ["following_error", "hardware_limit_positive"])
async def test_a_fault_on_the_way_is_told(x: Esp300Axis, port: Port, fault: str):
    await x.prepare(SLOWLY)
    await x.kickoff()
    port.call(lambda now: port.instrument.cause(1, fault, now))
    with pytest.raises(InstrumentError, match=r"esp-x \(axis 1\): instrument error 10[34]"):
        await x.complete()
    assert await x.velocity.get_value() == 50.0


async def test_one_that_takes_too_long_is_stopped(x: Esp300Axis):
    await x.prepare(SLOWLY.model_copy(update={"timeout": 0.5}))
    await x.kickoff()
    with pytest.raises(MoveTimeout, match=r"still moving after 0\.5 s"):
        await x.complete()
    assert await x.velocity.get_value() == 50.0


async def test_the_link_is_lost_on_the_way(x: Esp300Axis, port: Port, caplog):
    await x.prepare(SLOWLY)
    await x.kickoff()
    port.disconnect()
    with pytest.raises(LinkClosed, match="may still be moving"):
        await x.complete()
    assert "its velocity is still 2, not 50" in caplog.text
    assert x.movable_logic.adrift


async def test_nothing_else_moves_it_meanwhile(x: Esp300Axis):
    await x.prepare(SLOWLY)
    await x.kickoff()
    for motion in (lambda: x.set(1.0), lambda: x.prepare(ACROSS), x.search_home, x.home.trigger):
        with pytest.raises(RdaqError, match="a fly move is under way"):
            await motion()
    with pytest.raises(RdaqError, match="moves; its unit"):
        await x.unit.set("um")
    assert x.movable_logic.flying
    await x.unstage()  # ends it
    assert not x.movable_logic.flying
    assert await x.velocity.get_value() == 50.0


async def test_what_changed_since_it_was_prepared_is_noticed(x: Esp300Axis, port: Port):
    await x.prepare(ACROSS)
    await x.acceleration.set(150.0)
    with pytest.raises(LimitError, match="acceleration changed.*prepare again"):
        await x.kickoff()
    await x.prepare(ACROSS)
    await x.set(0.0)
    with pytest.raises(LimitError, match="stands at 0, .*prepare again"):
        await x.kickoff()
    await x.prepare(ACROSS)
    await x.high_limit.set(3.5)
    with pytest.raises(LimitError, match="target 4 mm"):
        await x.kickoff()
    assert written(port, "VA") == []


async def test_a_velocity_that_somebody_set_meanwhile_stays(x: Esp300Axis):
    await x.prepare(ACROSS)
    await x.kickoff()
    await x.velocity.set(33.0)
    await x.complete()
    assert await x.velocity.get_value() == 33.0


async def test_with_the_motor_off(x: Esp300Axis):
    await x.prepare(ACROSS)
    await x.enabled.set(False)
    with pytest.raises(InstrumentError, match="113"):
        await x.kickoff()
    assert await x.velocity.get_value() == 50.0


async def test_mock_mode_flies_at_once():
    async with init_devices(mock=True):
        x = Esp300Axis("/dev/not-there", 1)
    await x.prepare(ACROSS)
    await x.kickoff()
    await x.complete()
    assert (await x.read())["x"]["value"] == pytest.approx(3.0 + 20.0**2 / 2 / 40)
    assert await x.velocity.get_value() == 10.0
    assert len(x.positions) == 1
    with pytest.raises(LimitError, match="0 to 40"):
        await x.prepare(FlyMotorInfo(start_position=0.0, end_position=20.0, time_for_move=0.4))
