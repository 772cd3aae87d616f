"""Micro-Manager's demo stages, wheel and shutter: moves, refusals, stops past what waits, stop-all."""

import asyncio
import threading

import pytest
from microscopes import microscope
from ophyd_async.core import get_mock_put

from rdaq_ophyd import stop
from rdaq_ophyd.capabilities import Capability, StopMeans, capabilities, stop_capability
from rdaq_ophyd.devices.micromanager import (
    MicroManagerShutter,
    MicroManagerStage,
    MicroManagerState,
    MicroManagerXYStage,
)
from rdaq_ophyd.errors import LimitError, MicroManagerError, MoveInterrupted, MoveTimeout, StopLatched
from rdaq_ophyd.rig._loop_target import foreign
from rdaq_ophyd.stop import Outcome


@pytest.fixture
def mm():
    return microscope()


@pytest.fixture
async def xy(mm):
    made = MicroManagerXYStage(mm, name="xy", limits={"x": (-20000, 20000)})
    await made.connect()
    yield made
    made.close()


@pytest.fixture
async def z(mm):
    made = MicroManagerStage(mm, "Z", name="z", limits=(-300, 300))
    await made.connect()
    yield made
    made.close()


@pytest.fixture
async def wheel(mm):
    made = MicroManagerState(mm, "Wheel", name="wheel")
    await made.connect()
    yield made
    made.close()


@pytest.fixture
async def shutter(mm):
    made = MicroManagerShutter(mm, "Shutter", name="shutter")
    await made.connect()
    yield made
    made.close()


async def moving(axis):
    async with asyncio.timeout(10):
        while not await axis.moving.get_value(cached=False):
            pass


async def test_capabilities(xy, z, wheel, shutter):
    expected = {Capability.MOVABLE, Capability.LOCATABLE, Capability.STOPPABLE, Capability.HALTABLE}
    for device in (xy.x, z, wheel):
        assert expected <= capabilities(device)
        assert stop_capability(device).means is StopMeans.SOFTWARE
    assert Capability.SHUTTER_CONTROL in capabilities(shutter)


async def test_a_focus_drive(z):
    await z.set(12.5)
    assert (await z.locate()) == {"setpoint": 12.5, "readback": 12.5}
    assert (await z.read())["z"]["value"] == 12.5
    assert (await z.describe())["z"]["units"] == "um"


async def test_both_axes_of_a_stage_at_once_and_one_after_the_other(xy):
    await asyncio.gather(xy.x.set(300.0), xy.y.set(-200.0))
    assert await xy.x.readback.get_value() == pytest.approx(300, abs=0.1)
    assert await xy.y.readback.get_value() == pytest.approx(-200, abs=0.1)
    await xy.y.set(50.0)
    reading = await xy.read()
    assert reading["xy-x"]["value"] == pytest.approx(300, abs=0.1)
    assert reading["xy-y"]["value"] == pytest.approx(50, abs=0.1)


async def test_progress_is_told_on_the_way(xy):
    seen = []
    status = xy.x.set(8000.0)
    status.watch(lambda **update: seen.append(update["current"]))
    await status
    assert any(0 < place < 7999 for place in seen)


@pytest.mark.parametrize("value", [20001.0, -20001.0, float("nan"), float("inf")])
async def test_targets_out_of_limits_are_not_sent(xy, value):
    with pytest.raises(LimitError, match=r"allowed: -20000 to 20000 um|finite"):
        await xy.x.set(value)
    assert await xy.x.readback.get_value() == 0.0


async def test_what_the_adapter_refuses_is_told(mm):
    z = MicroManagerStage(mm, "Z", name="z")
    await z.connect()
    with pytest.raises(MicroManagerError, match=r"z refuses 1000000.*Position out of range"):
        await z.set(1e6)
    z.close()


@pytest.mark.parametrize("how", ["stop", "halt", "other axis"])
async def test_a_stop_on_the_way(xy, how):
    status = xy.x.set(15000.0)
    await moving(xy.x)
    if how == "stop":
        await xy.x.stop()
    elif how == "halt":
        await asyncio.to_thread(xy.halt)
    else:
        await xy.y.stop()
    with pytest.raises((MoveInterrupted, RuntimeError), match="stop"):
        await status
    place = await xy.x.readback.get_value(cached=False)
    assert place < 14000
    assert await xy.x.readback.get_value(cached=False) == place
    await xy.y.set(100.0)
    assert await xy.x.readback.get_value(cached=False) == pytest.approx(place, abs=0.1), "a stopped move is not resumed"


async def test_a_successful_stop_ends_the_move_without_an_error(xy):
    status = xy.x.set(15000.0)
    await moving(xy.x)
    await xy.x.stop(success=True)
    await status


async def test_a_move_that_was_stopped_before_it_was_sent_is_never_sent(xy):
    status = xy.x.set(5000.0)
    xy.x.halt()
    with pytest.raises(MoveInterrupted, match="nothing was sent"):
        await status
    assert await xy.x.readback.get_value(cached=False) == 0.0


async def test_a_stop_does_not_wait_for_what_waits(xy, mm):
    """The lane is busy; the stop goes past it, and the moves that wait in it are never sent."""
    status = xy.x.set(15000.0)
    await moving(xy.x)
    let_go = threading.Event()
    blocked = mm.lane("XY").submit(lambda: let_go.wait(20))
    waiting = xy.y.set(9000.0)
    xy.halt()
    await asyncio.to_thread(xy._session.wait, 5.0)
    assert not blocked.done()
    let_go.set()
    for each in (status, waiting):
        with pytest.raises(MoveInterrupted):
            await each
    assert await xy.y.readback.get_value(cached=False) < 100


async def test_a_move_that_takes_too_long_is_stopped(mm):
    xy = MicroManagerXYStage(mm, name="xy", seconds=0.1)
    await xy.connect()
    with pytest.raises(MoveTimeout, match=r"still moving after 0\.1 s; it was told to stop"):
        await xy.x.set(15000.0)
    await asyncio.to_thread(xy._session.wait, 5.0)
    assert await xy.x.readback.get_value(cached=False) < 14000
    xy.close()


async def test_a_wheel_by_the_labels_of_its_states(wheel):
    await wheel.set("State-3")
    assert (await wheel.read())["wheel"]["value"] == "State-3"
    assert (await wheel.describe())["wheel"]["choices"][:2] == ["State-0", "State-1"]
    with pytest.raises(LimitError, match="wheel cannot be 'Red' → choose from State-0, State-1"):
        await wheel.set("Red")


async def test_a_shutter(shutter):
    assert await shutter.shutter.get_value() is False
    await shutter.shutter.set(True)
    assert await shutter.shutter.get_value() is True
    assert (await shutter.read())["shutter-shutter"]["value"] is True
    await shutter.shutter.set(False)
    assert await shutter.shutter.get_value() is False
    with pytest.raises(LimitError, match="True opens"):
        await shutter.shutter.set(2)


async def test_stop_all_stops_and_closes_and_what_moves_or_opens_is_refused_until_the_reset(xy, shutter):
    await shutter.shutter.set(True)
    assert await shutter.shutter.get_value() is True
    status = xy.x.set(15000.0)
    await moving(xy.x)
    report = await asyncio.to_thread(stop.stop_all, "test")
    with pytest.raises(MoveInterrupted):
        await status
    verdicts = {v.device: v for v in report.verdicts if v.device in ("xy", "shutter")}
    assert {v.outcome for v in verdicts.values()} == {Outcome.CONFIRMED}
    assert set(verdicts) == {"xy", "shutter"}
    assert await shutter.shutter.get_value() is False
    with pytest.raises(StopLatched):
        await xy.x.set(1.0)
    with pytest.raises(StopLatched):
        await shutter.shutter.set(True)
    await shutter.shutter.set(False)
    await asyncio.to_thread(stop.reset, "test")
    await xy.x.set(0.0)


async def test_a_rig_does_not_stop_them_a_second_time(xy, wheel):
    assert list(foreign([xy, wheel])) == []


async def test_a_stage_in_another_library_has_its_own_lane(mm, xy):
    assert mm.lane("XY") is mm.lane("Z")
    assert mm.lane("Joined") is not mm.lane("XY")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda mm: MicroManagerStage(mm, "XY", name="d"), "StageDevice"),
        (lambda mm: MicroManagerXYStage(mm, "Z", name="d"), "XYStageDevice"),
        (lambda mm: MicroManagerState(mm, "Z", name="d"), "StateDevice"),
        (lambda mm: MicroManagerShutter(mm, "Z", name="d"), "ShutterDevice"),
    ],
)
async def test_a_label_of_another_kind(mm, make, kind):
    device = make(mm)
    with pytest.raises(MicroManagerError, match=f"is no {kind}"):
        await device.connect()


async def test_mock_mode(mm):
    xy = MicroManagerXYStage(mm, name="xy")
    await xy.connect(mock=True)
    await xy.x.set(5.0)
    assert (await xy.read())["xy-x"]["value"] == 5.0
    get_mock_put(xy.x.setpoint).assert_called_once_with(5.0)
    await xy.x.stop()
    wheel = MicroManagerState(mm, "Wheel", name="wheel")
    await wheel.connect(mock=True)
    await wheel.set("State-1")
    assert (await wheel.read())["wheel"]["value"] == "State-1"
    shutter = MicroManagerShutter(mm, "Shutter", name="shutter")
    await shutter.connect(mock=True)
    await shutter.shutter.set(True)
    assert await shutter.shutter.get_value() is True
