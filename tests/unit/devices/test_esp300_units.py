"""Units of an ESP300 axis, changed on purpose or behind its back, against the simulator on a pty."""

from collections.abc import AsyncIterator, Iterator

import pytest
from connected import motors_on
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import init_devices
from parts import until

from rdaq_ophyd import stop
from rdaq_ophyd.devices._esp300_units import CODES, UNITS, ratio
from rdaq_ophyd.devices.esp300 import AxisUnits, Esp300, Esp300Axis
from rdaq_ophyd.errors import (
    InstrumentError,
    LimitError,
    MoveInterrupted,
    RdaqError,
    ReplyTimeout,
    StopLatched,
    UnitsError,
)
from rdaq_ophyd.sim import Port, SimEsp300, serve_pty

FAST = 20.0


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(SimEsp300(speed=FAST), lift_baud=True) as served:
        yield served


@pytest.fixture
async def esp(port: Port) -> AsyncIterator[Esp300]:
    async with motors_on(port, {1: "x", 2: "y", 3: "theta"}) as esp:
        yield esp


LINEAR = {0: 1e4, 1: 1e4, 2: 1.0, 3: 1e3, 4: 1 / 25.4, 5: 1e3 / 25.4, 6: 1e6 / 25.4}
ROUND = {7: 1.0, 8: 1 / 0.9, 9: 0.017453292519943, 10: 17.453292519943, 11: 17453.292519943}


@pytest.mark.parametrize("code", range(12))
async def test_each_unit_of_the_manual(esp: Esp300, port: Port, code: int):
    axis, sizes = (esp.x, LINEAR) if code in LINEAR else (esp.theta, ROUND)
    unit, size = UNITS[code].unit, sizes[code]
    await axis.set(5.0)
    before = await axis.velocity.get_value(), await axis.high_limit.get_value()
    await axis.unit.set(unit)
    assert await axis.unit.get_value() is unit
    assert await axis.unit_code.get_value() == code
    assert f"{axis.number}SN{code}\r".encode() in port.log.bytes() or code in {2, 7}
    described = {**await axis.describe(), **await axis.describe_configuration()}
    assert described[axis.name]["units"] == unit.value
    assert described[f"{axis.name}-high_limit"]["units"] == unit.value
    assert described[f"{axis.name}-home_velocity"]["units"] == f"{unit.value}/s"
    assert described[f"{axis.name}-max_acceleration"]["units"] == f"{unit.value}/s^2"
    assert described[axis.name]["limits"]["control"]["high"] == pytest.approx(before[1] * size, rel=1e-4)
    assert (await axis.read())[axis.name]["value"] == pytest.approx(5.0 * size, rel=1e-4, abs=1e-3)
    assert await axis.velocity.get_value() == pytest.approx(before[0] * size, rel=1e-4)
    with pytest.raises(LimitError, match=f"{unit.value}"):
        await axis.set(before[1] * size * 1.01)
    with pytest.raises(LimitError, match=f"{unit.value}/s"):
        await axis.velocity.set(1000.0 * FAST * size)
    await axis.set(6.0 * size)
    assert port.instrument.axes[axis.number].trajectory.target == pytest.approx(6.0, rel=1e-3)


async def test_a_unit_of_the_other_kind_is_refused_and_nothing_changes(esp: Esp300):
    for axis, unit in ((esp.x, AxisUnits.DEGREE), (esp.theta, AxisUnits.MICROMETRE)):
        with pytest.raises(InstrumentError, match="01: parameter out of range"):
            await axis.unit.set(unit)
        assert await axis.unit.get_value() in {AxisUnits.MILLIMETRE, AxisUnits.DEGREE}
        await axis.set(1.0)


async def test_an_axis_that_moves_keeps_its_unit(esp: Esp300, port: Port):
    await esp.x.velocity.set(1.0)
    moving = esp.x.set(20.0)
    await until(lambda: port.instrument.axes[1].trajectory.target == 20.0)
    with pytest.raises(MoveInterrupted, match="moves; its unit is changed while it stands still"):
        await esp.x.unit.set(AxisUnits.MICROMETRE)
    assert b"1SN3" not in port.log.bytes()
    await esp.x.stop(success=True)
    await moving
    await esp.x.set(0.0)


async def test_limits_of_the_profile_go_with_the_unit(port: Port):
    async with init_devices():
        x = Esp300Axis(port.url, 1, limits=(-5.0, 8.0), max_velocity=10.0, tolerance=0.02)
    await x.enabled.set(True)
    await x.velocity.set(9.0)
    await x.unit.set(AxisUnits.MICROMETRE)
    with pytest.raises(LimitError, match="allowed: -5000 to 8000 um"):
        await x.set(8001.0)
    with pytest.raises(LimitError, match="allowed: 0 to 10000 um/s"):
        await x.velocity.set(10_001.0)
    assert x.movable_logic.tolerance == pytest.approx(20.0)
    await x.set(-4999.0)
    with pytest.raises(UnitsError, match="limits or a tolerance in mm, which cannot be told in count"):
        await x.unit.set(AxisUnits.COUNT)
    await x.unit.set(AxisUnits.MILLIMETRE)
    await x.set(7.9)
    x.close()


async def test_a_controller_that_only_renames_its_unit_is_found_out(esp: Esp300, port: Port, monkeypatch):
    axis = port.instrument.axes[1]
    monkeypatch.setattr(type(axis), "scale", property(lambda self: 1.0))
    with pytest.raises(UnitsError, match="called its numbers um but did not convert them"):
        await esp.x.unit.set(AxisUnits.MICROMETRE)
    assert await esp.x.unit.get_value() is AxisUnits.MILLIMETRE
    await esp.x.set(2.0)


async def test_without_a_link_nothing_moves_until_the_unit_is_known(esp: Esp300, port: Port):
    port.disconnect()
    with pytest.raises(ConnectionError):
        await esp.x.unit.set(AxisUnits.MICROMETRE)
    with pytest.raises(RdaqError):
        await esp.x.set(1.0)


async def test_an_answer_that_got_lost_leaves_the_unit_known(port: Port):
    async with init_devices():
        x = Esp300Axis(port.url, 1, limits=(-5.0, 8.0))
    await x.enabled.set(True)
    real = port.instrument.execute
    lost: list[str] = []

    def execute(command: str, now: float) -> bytes | None:
        lost.append(command)
        return None if lost[-2:] == ["1SN3", "TB?"] else real(command, now)

    port.instrument.execute = execute
    with pytest.raises(ReplyTimeout):
        await x.unit.set(AxisUnits.MICROMETRE)
    assert await x.unit.get_value() is AxisUnits.MICROMETRE
    with pytest.raises(LimitError, match="-5000 to 8000 um"):
        await x.set(9000.0)
    await x.set(7900.0)
    assert dict(await x.identity())["unit"] == "3"
    x.close()


async def test_everything_stopped_the_unit_stays_and_moves_are_possible_again(esp: Esp300, port: Port):
    stop.latch.trip("a test", by="a test")
    with pytest.raises(StopLatched):
        await esp.x.unit.set(AxisUnits.MICROMETRE)
    assert b"1SN3" not in port.log.bytes()
    stop.reset("the test", force=True)
    await esp.x.set(1.0)
    assert (await esp.x.describe())["esp-x"]["units"] == "mm"


async def test_somebody_else_changed_the_unit_before_it_was_connected_again(port: Port):
    async with init_devices():
        x = Esp300Axis(port.url, 1, limits=(-5.0, 8.0))
        y = Esp300Axis(port.url, 2, tolerance=0.1)
    for axis, code in ((1, 3), (2, 0)):
        port.call(lambda now, axis=axis, code=code: setattr(port.instrument.axes[axis], "unit", code))
    await x.connect(force_reconnect=True)
    with pytest.raises(LimitError, match="-5000 to 8000 um"):
        await x.set(9000.0)
    with pytest.raises(UnitsError, match="in mm, which cannot be told in count"):
        await y.connect(force_reconnect=True)
    x.close()
    y.close()


async def test_what_was_written_in_another_unit_is_not_restored(esp: Esp300):
    await esp.x.high_limit.set(20.0)
    backend = esp.x._link_connector.backend_of(esp.x.high_limit)
    assert backend.written == 20.0
    await esp.x.unit.set(AxisUnits.MICROMETRE)
    assert backend.written is None
    assert dict(await esp.x.identity())["unit"] == "3"
    await esp.x.connect(force_reconnect=True)
    await esp.x.set(1000.0)


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)))
def test_ratios(old: int, new: int):
    there, back = ratio(old, new), ratio(new, old)
    if there is None or back is None:
        assert there is back
    else:
        assert there * back == pytest.approx(1.0)
    assert CODES[UNITS[old].unit] == old
