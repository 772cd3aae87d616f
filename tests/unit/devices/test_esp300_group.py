"""Axes of an ESP300 that one line starts and stops."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine, RunEngineInterrupted
from connected import motors_on
from ophyd_async.core import init_devices
from parts import until

from rdaq_ophyd import stop
from rdaq_ophyd.capabilities import StopMeans, stop_capability
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Group
from rdaq_ophyd.errors import InstrumentError, LimitError, LinkClosed, MoveInterrupted, StopLatched
from rdaq_ophyd.sim import Faults, Port, SimEsp300, serve_pty
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop

LINE = b"1PA3.0000000;2PA-2.0000000\r"


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(SimEsp300(speed=5.0), lift_baud=True) as served:
        yield served


@pytest.fixture
async def esp(port: Port) -> AsyncIterator[Esp300]:
    async with motors_on(
        port, {1: "x", 2: "y", 3: "theta"}, limits={1: (-5.0, 24.0)}, groups={"xy": ("x", "y")}
    ) as esp:
        yield esp


@pytest.fixture
def xy(esp: Esp300) -> Esp300Group:
    return esp.xy


def starts(port: Port) -> int:
    return port.log.bytes().count(b"PA")


async def test_one_line_starts_all(esp: Esp300, xy: Esp300Group, port: Port):
    assert xy.name == "esp-xy"
    await xy.set([3.0, -2.0])
    assert port.log.bytes().count(LINE) == 1
    assert starts(port) == 2
    assert await xy.where() == {"x": 3.0, "y": -2.0}
    await xy.set({"y": 1.0, "x": 0.0})
    assert await xy.where() == {"x": 0.0, "y": 1.0}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([24.5, 0.0], "esp-x: target 24.5 mm"),
        ([0.0, 13.0], "esp-y: target 13 mm"),
        ([float("nan"), 0.0], "not a finite number"),
        ([1.0], "esp-xy: 1 positions"),
        ([1.0, 2.0, 3.0], "esp-xy: 3 positions"),
        ({"x": 1.0}, "are not its axes.*x, y"),
        ({"x": 1.0, "theta": 2.0}, "x, theta are not its axes"),
    ],
)
async def test_one_bad_target_lets_none_start(xy: Esp300Group, port: Port, value, why: str):
    for ask in (xy.check_value, xy.set):
        with pytest.raises(LimitError, match=why):
            await ask(value)
    assert starts(port) == 0


async def test_one_motor_that_is_off_lets_none_start(esp: Esp300, xy: Esp300Group, port: Port):
    await esp.y.enabled.set(False)
    with pytest.raises(InstrumentError, match=r"esp-y \(axis 2\): instrument error 213.*<enable\(esp\.y\)"):
        await xy.set([3.0, -2.0])
    assert starts(port) == 0


async def test_one_that_moves_already_lets_none_start(esp: Esp300, xy: Esp300Group, port: Port):
    await esp.y.velocity.set(1.0)
    moving = esp.y.set(10.0)
    await until(lambda: port.instrument.axes[2].trajectory.target == 10.0)
    with pytest.raises(MoveInterrupted, match="esp-xy: esp-y moves already"):
        await xy.set([3.0, -2.0])
    assert starts(port) == 1
    await esp.y.stop(success=True)
    await moving


async def test_one_that_the_controller_refuses_stops_all(esp: Esp300, xy: Esp300Group, port: Port):
    await esp.x.velocity.set(1.0)
    # Refused by the controller alone: its limit was changed behind the driver's back.
    await esp.x.channel.tell("2SR5")
    esp.y.movable_logic.high_limit = esp.x.high_limit
    with pytest.raises(InstrumentError, match=r"esp-y \(axis 2\): instrument error 206"):
        await xy.set([20.0, 8.0])
    await until(lambda: b"1ST\r" in port.log.bytes())
    await xy.stop()
    assert (await esp.x.read())["esp-x"]["value"] < 15.0
    await xy.set([0.0, 1.0])


async def test_a_fault_of_one_stops_all(esp: Esp300, xy: Esp300Group, port: Port):
    await asyncio.gather(esp.x.velocity.set(1.0), esp.y.velocity.set(1.0))
    moving = xy.set([20.0, 10.0])
    await until(lambda: port.instrument.axes[2].trajectory.target == 10.0)
    port.call(lambda now: port.instrument.cause(2, "following_error", now))
    with pytest.raises(InstrumentError, match=r"esp-y \(axis 2\): instrument error 203"):
        await moving
    await until(lambda: b"1ST\r" in port.log.bytes())
    await xy.stop()


@pytest.mark.parametrize("how", ["halt", "stop", "axis", "controller"])
async def test_a_stop_of_the_group_is_one_line(esp: Esp300, xy: Esp300Group, port: Port, how: str):
    assert stop_capability(xy).means is StopMeans.PREEMPTS
    await asyncio.gather(esp.x.velocity.set(1.0), esp.y.velocity.set(1.0))
    moving = xy.set([20.0, 10.0])
    await until(lambda: port.instrument.axes[2].trajectory.target == 10.0)
    if how == "halt":
        await asyncio.to_thread(xy.halt)
    elif how == "stop":
        await xy.stop()
    elif how == "axis":
        await esp.y.stop()
    else:
        await esp.stop()
    with pytest.raises(MoveInterrupted, match="told to stop"):
        await moving
    assert (b"\r1ST;2ST\r" in port.log.bytes()) is (how in {"halt", "stop"})
    await xy.stop()
    place = await xy.where()
    assert place["x"] < 20.0
    assert place["y"] < 10.0
    assert await esp.x.done.get_value()
    assert await esp.y.done.get_value()


async def test_a_stop_that_counts_as_success(esp: Esp300, xy: Esp300Group, port: Port):
    await esp.x.velocity.set(1.0)
    moving = xy.set([20.0, 10.0])
    await until(lambda: port.instrument.axes[2].trajectory.target == 10.0)
    await xy.stop(success=True)
    await moving


async def test_a_stop_before_it_set_out(esp: Esp300, xy: Esp300Group, port: Port):
    for halt in (xy.halt, esp.y.halt, esp.halt):
        moving = xy.set([3.0, -2.0])
        halt()
        with pytest.raises(MoveInterrupted, match="nothing was sent"):
            await moving
    assert starts(port) == 0


async def test_a_stop_while_the_line_waits_for_the_port_takes_it_back(esp: Esp300, xy: Esp300Group, port: Port):
    sent = port.log.bytes().count(b"2AG?")
    moving = xy.set([3.0, -2.0])
    await until(lambda: port.log.bytes().count(b"2AG?") > sent)  # the last question before the line
    port.faults = Faults(reply_delay=0.3)
    asked = asyncio.ensure_future(esp.theta.readback.get_value(cached=False))
    await asyncio.sleep(0)
    xy.halt()
    port.faults = Faults()
    with pytest.raises(MoveInterrupted):
        await moving
    await asked
    await xy.stop()
    log = port.log.bytes()
    assert log.rfind(b"PA") < log.rfind(b"1ST;2ST")


async def test_a_cancelled_one_is_stopped(esp: Esp300, xy: Esp300Group, port: Port):
    await esp.x.velocity.set(1.0)
    moving = xy.set([20.0, 10.0])
    await until(lambda: port.instrument.axes[2].trajectory.target == 10.0)
    moving.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving
    await until(lambda: b"1ST\r" in port.log.bytes() and b"2ST\r" in port.log.bytes())
    await xy.stop()


async def test_everything_stopped_lets_none_start(xy: Esp300Group, port: Port):
    stop.latch.trip("a test", by="a test")
    with pytest.raises(StopLatched):
        await xy.set([3.0, -2.0])
    assert starts(port) == 0


async def test_the_link_is_lost_on_the_way(esp: Esp300, xy: Esp300Group, port: Port):
    await esp.x.velocity.set(1.0)
    moving = xy.set([20.0, 10.0])
    await until(lambda: port.instrument.axes[2].trajectory.target == 10.0)
    port.disconnect()
    with pytest.raises(LinkClosed):
        await moving


def test_in_a_plan(engine: RunEngine, port: Port):
    with init_devices():
        esp = Esp300(port.url, {1: "x", 2: "y"}, groups={"xy": ("y", "x")})
    try:
        engine(bps.mv(esp.x.enabled, True, esp.y.enabled, True))
        engine(bps.mv(esp.xy, [-2.0, 3.0]))
        assert b"2PA-2.0000000;1PA3.0000000\r" in port.log.bytes()
        assert engine(bps.rd(esp.x)).plan_result == 3.0
    finally:
        esp.close()


def test_a_pause_stops_all_and_a_resume_moves_them_again(port: Port):
    found: list[Esp300] = []
    engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=lambda: found, person=False)
    with init_devices():
        esp = Esp300(port.url, {1: "x", 2: "y"}, groups={"xy": ("x", "y")})
    found.append(esp)

    def plan():
        yield from bps.checkpoint()
        yield from bps.mv(esp.xy, [20.0, 10.0])

    def pause() -> None:
        for _ in range(20_000):
            if port.instrument.axes[2].trajectory.target == 10.0:
                engine.request_pause(defer=False)
                return
            threading.Event().wait(0.001)

    watcher = threading.Thread(target=pause)
    with engine.plan_end:
        engine(bps.mv(esp.x.enabled, True, esp.y.enabled, True, esp.x.velocity, 10.0, esp.y.velocity, 5.0))
        watcher.start()
        with pytest.raises(RunEngineInterrupted):
            engine(plan())
        watcher.join(30)
        assert port.instrument.axes[1].trajectory.target < 20.0
        assert port.instrument.axes[2].trajectory.target < 10.0
        engine.resume()
    assert engine.state == "idle"
    assert (port.instrument.axes[1].trajectory.target, port.instrument.axes[2].trajectory.target) == (20.0, 10.0)
    assert port.log.bytes().count(b"1PA20.0000000;2PA10.0000000\r") == 2
    esp.close()
    stop_loop(engine)


async def test_mock_mode():
    async with init_devices(mock=True):
        esp = Esp300("/dev/not-there", {1: "x", 2: "y"}, groups={"xy": ("x", "y")})
    await esp.xy.set([3.0, -2.0])
    assert await esp.xy.where() == {"x": 3.0, "y": -2.0}
    await esp.xy.stop()


@pytest.mark.parametrize("groups", [{"xy": ("x",)}, {"xy": ("x", "x")}, {"x": ("x", "y")}, {"xy": ("x", "z")}])
def test_groups_that_are_none(groups):
    with pytest.raises(ValueError, match="group"):
        Esp300("/dev/x", {1: "x", 2: "y"}, groups=groups)
