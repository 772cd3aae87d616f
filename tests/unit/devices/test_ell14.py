"""One ELL14 against the simulated bus on a real pty."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from bluesky.protocols import Location
from connected import connected
from ophyd_async.core import init_devices
from parts import until
from rotators import motions, moving

from rdaq_ophyd.capabilities import Capability, StopMeans, capabilities
from rdaq_ophyd.devices._ell14_info import Info, MotorInfo
from rdaq_ophyd.devices._ell14_status import CAUSES
from rdaq_ophyd.devices.ell14 import Ell14, Ell14Bus
from rdaq_ophyd.errors import (
    BadReply,
    InstrumentError,
    LimitError,
    MoveInterrupted,
    MoveTimeout,
    ReplyTimeout,
)
from rdaq_ophyd.sim import Faults, Port, Rotator, SimEll14, serve_pty

TURN_45 = b"ma00004600"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    with serve_pty(SimEll14("03", speed=4.0), lift_baud=True, link=tmp_path / "ell14") as served:
        yield served


@pytest.fixture
async def mount(port: Port) -> AsyncIterator[Ell14]:
    async with connected(Ell14(port.url, "0", "mount", limits=(-360.0, 360.0))) as mount:
        yield mount


async def test_calibration_and_identity_come_from_the_device():
    odd = Rotator("00000042", pulses=136_533, imperial=True, firmware=0x21)
    with serve_pty(SimEll14({"A": odd}), lift_baud=True) as port:
        mount = Ell14(port.url, "a", "mount")
        await mount.connect()
        assert mount.info == Info(14, "00000042", 2023, "21", 1, imperial=True, travel=360, pulses=136_533)
        values = {key: reading["value"] for key, reading in (await mount.read_configuration()).items()}
        assert values == {
            "mount-velocity": 100,
            "mount-jog_step": pytest.approx(90.0, abs=0.01),
            "mount-home_offset": 0.0,
            "mount-serial_number": "00000042",
            "mount-firmware": "21",
            "mount-hardware": 1,
            "mount-imperial": True,
            "mount-pulses_per_degree": pytest.approx(379.258, abs=1e-3),
        }
        await mount.set(90.0)
        assert odd.degrees(1e9) == pytest.approx(90.0, abs=0.002)
        assert b"Ama%08X\r" % round(90 * 136_533 / 360) in port.log.bytes()
        mount.close()


async def test_it_is_described_in_degrees_with_its_limits(mount: Ell14):
    described = (await mount.describe())["mount"]
    assert (described["units"], described["precision"]) == ("deg", 3)
    assert described["limits"]["control"] == {"low": -360.0, "high": 360.0}
    assert mount.hints == {"fields": ["mount"]}
    assert {Capability.MOVABLE, Capability.HOMABLE, Capability.HALTABLE, Capability.READABLE} <= capabilities(mount)
    assert (await mount.setpoint.describe())["mount-setpoint"]["source"].endswith("#turn_to") is False


async def test_a_move_reports_progress_and_ends_at_its_target(mount: Ell14, port: Port):
    updates: list[dict] = []
    status = mount.set(45.0)
    status.watch(lambda **update: updates.append(update))
    await status
    assert (await mount.read())["mount"]["value"] == pytest.approx(45.0, abs=0.01)
    assert await mount.locate() == Location(setpoint=45.0, readback=45.0)
    assert {u["unit"] for u in updates} == {"deg"}
    assert motions(port) == [b"0" + TURN_45]
    await mount.set(-10.0)
    assert (await mount.locate())["readback"] == pytest.approx(-10.0, abs=0.01)
    assert await mount.busy.get_value() is False


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 360.1, -361.0])
async def test_impossible_targets_are_refused_before_a_move_is_sent(mount: Ell14, port: Port, bad: float):
    for refused in (mount.set(bad), mount.check_value(bad), mount.setpoint.set(bad)):
        with pytest.raises(LimitError, match=r"mount.*(not a finite number|allowed: -360 to 360 deg)"):
            await refused
    assert motions(port) == []


async def test_without_limits_it_turns_on_but_not_beyond_what_it_can_count(port: Port):
    mount = Ell14(port.url, "3", "mount")
    await mount.connect()
    await mount.set(725.0)
    assert (await mount.locate())["readback"] == pytest.approx(725.0, abs=0.01)
    with pytest.raises(LimitError, match="do not fit into 32 bits"):
        await mount.set(1e7)
    mount.close()


async def test_a_move_that_is_there_already(mount: Ell14, port: Port):
    await mount.set(0.0)
    await mount.set(0.0)
    assert motions(port) == [b"0ma00000000"] * 2


@pytest.mark.parametrize("code", [code for code in CAUSES if code not in {9}])
async def test_a_fault_in_mid_move_is_told_with_its_cause_and_the_next_move_is_not_blamed(
    mount: Ell14, port: Port, code: int
):
    await mount.velocity.set(25)
    status = mount.set(180.0)
    await until(lambda: moving(port))
    port.call(lambda now: port.instrument.cause("0", code, now))
    with pytest.raises(InstrumentError, match="on its way to 180") as caught:
        await status
    assert (caught.value.device, caught.value.code) == ("mount", code)
    assert CAUSES[code] in caught.value.cause
    await mount.velocity.set(100)
    await mount.set(10.0)


async def test_a_status_that_somebody_else_read_fails_the_move_all_the_same(mount: Ell14, port: Port):
    await mount.velocity.set(25)
    status = mount.set(180.0)
    await until(lambda: moving(port))
    port.faults = Faults(reply_delay=0.05)
    port.call(lambda now: port.instrument.cause("0", 10, now))
    reads = [asyncio.ensure_future(mount.busy.get_value(cached=False)) for _ in range(5)]
    with pytest.raises(InstrumentError, match="sensor error"):
        await status
    await asyncio.gather(*reads)


async def test_what_the_device_reported_before_belongs_to_no_move(mount: Ell14, port: Port, caplog):
    port.call(lambda now: port.instrument.rotators["0"].refuse(8))
    await mount.set(20.0)
    assert "mount: status 8 belongs to what was before" in caplog.text


async def test_settings(mount: Ell14, port: Port):
    await mount.velocity.set(50)
    await mount.jog_step.set(12.5)
    await mount.home_offset.set(-3.0)
    assert await mount.velocity.get_value() == 50
    assert await mount.jog_step.get_value() == pytest.approx(12.5, abs=0.01)
    assert await mount.home_offset.get_value() == pytest.approx(-3.0, abs=0.01)
    assert b"0sv32\r" in port.log.bytes()
    assert b"0soFFFFFB55\r" in port.log.bytes()
    for signal, bad in (
        (mount.velocity, 101),
        (mount.velocity, 10),
        (mount.jog_step, -1.0),
        (mount.home_offset, 400.0),
    ):
        with pytest.raises(LimitError):
            await signal.set(bad)


async def test_a_setting_that_the_device_refuses_raises_its_cause(mount: Ell14, port: Port):
    port.instrument._set = lambda place, name, data, now: place.rotator.refuse(4)
    with pytest.raises(InstrumentError, match=r"mount: instrument error 4: value out of range, in answer to '0sv3C'"):
        await mount.velocity.set(60)
    with pytest.raises(InstrumentError, match="in answer to '0us'"):
        await mount.save.execute()


async def test_a_setting_waits_for_the_end_of_a_motion(mount: Ell14, port: Port):
    await mount.velocity.set(50)
    status = mount.set(180.0)
    await until(lambda: moving(port))
    await mount.jog_step.set(5.0)
    assert not moving(port)
    await status
    assert await mount.jog_step.get_value() == pytest.approx(5.0, abs=0.01)
    assert port.log.bytes().count(b"0sj") > 1


async def test_homing(mount: Ell14, port: Port):
    await mount.set(30.0)
    await mount.home.trigger()
    assert (await mount.locate()) == Location(setpoint=0.0, readback=0.0)
    await mount.home_offset.set(20.0)
    await mount.home_counter_clockwise.trigger()
    assert motions(port)[-2:] == [b"0ho0", b"0ho1"]
    assert port.instrument.angle("0", 1e9) == pytest.approx(20.0, abs=0.01)


async def test_jogging_by_the_step_stays_within_the_limits(mount: Ell14, port: Port):
    await mount.jog_step.set(200.0)
    await mount.jog_forward.trigger()
    assert (await mount.locate())["readback"] == pytest.approx(200.0, abs=0.01)
    with pytest.raises(LimitError, match="target 399.998"):
        await mount.jog_forward.trigger()
    await mount.jog_backward.trigger()
    await mount.jog_step.set(0.0)
    with pytest.raises(LimitError, match="a jog without an end leaves the limits"):
        await mount.jog_forward.trigger()
    assert motions(port) == [b"0fw", b"0bw"]


async def test_care_of_the_motors(mount: Ell14, port: Port):
    one = await mount.motor_info(1)
    assert (one.on, one.loop) == (False, True)
    assert one.forward == pytest.approx(95_500, rel=0.01)
    await mount.search_frequency.trigger()
    assert [line for line in port.log.bytes().split(b"\r") if line in {b"0s1", b"0s2"}] == [b"0s1", b"0s2"]
    await mount.save.execute()
    with pytest.raises(ValueError, match="motor 3"):
        await mount.motor_info(3)
    assert MotorInfo.parse("0I1100428FFFFFFFF00000000") == MotorInfo(True, False, 0x428 / 1866, None, None)
    assert MotorInfo.parse("0I1110428FFFFFFFF00BDFFFF").forward == pytest.approx(77_989, rel=1e-4)


async def test_another_address_is_used_from_then_on(mount: Ell14, port: Port):
    await mount.change_address("f")
    await mount.set(10.0)
    assert motions(port)[-1].startswith(b"Fma")
    assert mount.safe_states()[0].halt == b"Fst\r"
    await mount.change_address("F")
    await mount.change_address("7", save=True)
    assert b"7us\r" in port.log.bytes()
    for bad in ("3", "G", ""):
        with pytest.raises(LimitError, match=r"belongs to the device with serial number 11400518|allowed: 0, 1"):
            await mount.change_address(bad)
    with pytest.raises(LimitError, match="allowed: 1 to 255"):
        await mount.isolate(0)
    port.instrument.minute = 0.3
    await mount.isolate(1)
    with pytest.raises(ReplyTimeout):
        await mount.readback.get_value(cached=False)


async def test_a_question_that_is_refused(mount: Ell14, port: Port):
    real = port.instrument._tell
    port.instrument._tell = lambda rotator, name, now: "GS03" if name == "i2" else real(rotator, name, now)
    with pytest.raises(InstrumentError, match="address 0: instrument error 3"):
        await mount.motor_info(2)
    assert (await mount.motor_info(1)).loop


async def test_a_device_that_stays_busy(mount: Ell14, port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_motion.SILENCE", 0.1)
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_base.BUSY_PATIENCE", 0.3)
    port.call(lambda now: port.instrument.rotators["0"].occupy("search", 3600.0, now))
    with pytest.raises(MoveTimeout, match="is busy already, so it was not sent on its way to 5"):
        await mount.set(5.0)
    with pytest.raises(InstrumentError, match="busy"):
        await mount.velocity.set(30)
    assert motions(port) == []


async def test_a_move_that_takes_too_long_says_that_it_goes_on(mount: Ell14, port: Port):
    await mount.velocity.set(25)
    with pytest.raises(MoveTimeout, match="still busy on its way to 350 when its time was over"):
        await mount.set(350.0, timeout=0.1)
    await mount.stop()
    assert not moving(port)


async def test_stands_elsewhere(mount: Ell14, port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rdaq_ophyd.devices._motion.SETTLE", 0.1)
    mount.movable_logic.tolerance = 1e-6
    with pytest.raises(MoveInterrupted, match="not at 0.001"):
        await mount.set(0.001)


async def test_mock_mode():
    async with init_devices(mock=True):
        bus = Ell14Bus("/dev/not-there", {"0": "a", "3": "b"}, segment=30.0, limits={"0": (0.0, 90.0)})
    await bus.a.set(45.0)
    assert (await bus.a.read())["bus-a"]["value"] == 45.0
    assert (await bus.a.describe())["bus-a"]["units"] == "deg"
    with pytest.raises(LimitError, match="allowed: 0 to 90"):
        await bus.a.set(91.0)
    await bus.a.home.trigger()
    await bus.b.jog_forward.trigger()
    await bus.stop()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ell14("/dev/x", "G"),
        lambda: Ell14("/dev/x", "00"),
        lambda: Ell14("/dev/x", "0", segment=0.0),
        lambda: Ell14("/dev/x", "0", segment=math.inf),
        lambda: Ell14("/dev/x", "0", limits=(1.0, 0.0)),
        lambda: Ell14("/dev/x", "0", tolerance=math.nan),
        lambda: Ell14("/dev/x", "0", tolerance=-1.0),
        lambda: Ell14Bus("/dev/x", {}),
        lambda: Ell14Bus("/dev/x", {"0": "a", "3": "a"}),
        lambda: Ell14Bus("/dev/x", {"a": "a", "A": "b"}),
        lambda: Ell14Bus("/dev/x", {"0": "stop"}),
        lambda: Ell14Bus("/dev/x", {"0": "parent"}),
        lambda: Ell14Bus("/dev/x", {"0": "a b"}),
        lambda: Ell14Bus("/dev/x", {"0": "a"}, movers=math.nan),
        lambda: Ell14Bus("/dev/x", {"0": "a"}, movers=0),
        lambda: Ell14Bus("/dev/x", {"0": "a"}, limits={"3": (0.0, 1.0)}),
    ],
)
def test_wrong_arguments(make):
    with pytest.raises(ValueError, match="address|segment|limits|rotator|movers|tolerance"):
        make()


def test_how_it_stops_is_said_honestly():
    free, limited, short = (
        Ell14("/dev/x", name="x"),
        Ell14("/dev/x", name="x", limits=(0.0, 43.0)),
        Ell14("/dev/x", name="x", segment=4.3),
    )
    assert {mount.stop_capability.means for mount in (free, limited, short)} == {StopMeans.BETWEEN_MOVES}
    assert [m.stop_capability.seconds for m in (free, limited, short)] == [None, 0.25, 0.16]
    assert "runs to its end" in free.stop_capability.note
    assert "series of short moves" in short.stop_capability.note


async def test_a_reply_of_the_wrong_length_is_no_answer(mount: Ell14, port: Port):
    real = port.instrument._tell
    port.instrument._tell = lambda rotator, name, now: "PO123" if name == "gp" else real(rotator, name, now)
    with pytest.raises((ReplyTimeout, BadReply), match="0gp"):
        await mount.readback.get_value(cached=False)
