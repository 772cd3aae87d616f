"""Axes counted from a calibrated zero, and signals that follow."""

import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from ophyd_async.core import Device, soft_signal_rw

from rdaq_ophyd.capabilities import StopMeans
from rdaq_ophyd.devices.calibrated import CalibratedAxis
from rdaq_ophyd.devices.calibration import Calibration
from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.errors import LimitError, MoveInterrupted, ProfileError, UnitsError
from rdaq_ophyd.ipython._where import where
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.rig._loop_target import foreign
from rdaq_ophyd.sim import SimBench


@pytest.fixture(scope="module")
def bench():
    with SimBench(fast=True, lift_baud=True) as bench:
        yield bench


@pytest.fixture
def rig(bench):
    rig = Rig("lab")
    rig.calibration.add("zero", 3.0, units="mm")
    rig.calibration.add("magnification", 1000.0, units="um/mm")

    @rig.device
    def stage() -> Esp300:
        return Esp300(bench.urls["esp300"], {1: "x"})

    @rig.device
    def edge(stage: Esp300) -> CalibratedAxis:
        return CalibratedAxis(stage.axes[1], rig.calibration, zero="zero")

    @rig.device
    def image(stage: Esp300) -> CalibratedAxis:
        return CalibratedAxis(stage.axes[1], rig.calibration, zero="zero", scale="magnification", units="um")

    return rig


async def test_it_reads_and_moves_in_its_own_coordinates(rig):
    async with rig.running():
        assert rig.failures == {}
        edge, image, x = rig["edge"], rig["image"], rig["stage"].x
        await x.enabled.set(True)
        told = []
        status = edge.set(-2.0)
        status.watch(lambda **update: told.append(update))
        await status
        assert await x.readback.get_value() == pytest.approx(1.0, abs=1e-3)
        assert (await edge.read())["edge"]["value"] == pytest.approx(-2.0, abs=1e-3)
        assert (await edge.describe())["edge"]["units"] == "mm"
        assert (await edge.locate())["setpoint"] == pytest.approx(-2.0, abs=1e-3)
        assert {(u["name"], u["target"], u["unit"]) for u in told} == {("edge", -2.0, "mm")}
        assert told[-1]["current"] == pytest.approx(-2.0, abs=1e-2)
        assert (await image.read())["image"]["value"] == pytest.approx(-2000, abs=1)
        await image.set(-1500)
        assert await x.readback.get_value() == pytest.approx(1.5, abs=1e-3)


async def test_a_new_zero_moves_what_is_used_not_the_axis(rig):
    async with rig.running():
        edge, x = rig["edge"], rig["stage"].x
        stands = await x.readback.get_value()
        await edge.set_current_position(0.25, why="edge found")
        assert await x.readback.get_value() == stands
        assert (await edge.read())["edge"]["value"] == pytest.approx(0.25)
        assert rig.calibration.history("zero")[-1].why == "edge found"


async def test_limits_and_numbers_are_told_in_both_coordinates(rig):
    async with rig.running():
        with pytest.raises(
            LimitError, match=r"edge: 100 is 103 on stage-x; .*outside the software limits → allowed: -25"
        ):
            await rig["edge"].set(100)
        with pytest.raises(LimitError, match="edge: nan is not a finite number"):
            rig["edge"].set(float("nan"))
        await rig.calibration.put("magnification", 0.0, why="slip")
        with pytest.raises(LimitError, match="image: calibration magnification is 0"):
            rig["image"].set(1.0)


async def test_its_stop_is_that_of_the_axis(rig):
    async with rig.running():
        await rig["stage"].x.enabled.set(True)
        assert rig["edge"].stop_capability.means is StopMeans.PREEMPTS
        assert list(foreign([rig["edge"]])) == []
        status = rig["edge"].set(15.0)
        await rig["edge"].stop()
        with pytest.raises(MoveInterrupted):
            await status


async def test_what_cannot_be_calibrated_is_refused(rig):
    calibration = Calibration(name="calibration")
    calibration.add("angle_zero", 1.0, units="deg")
    with pytest.raises(ProfileError, match="Device is no axis that can be calibrated"):
        CalibratedAxis(Device(), calibration, zero="angle_zero")
    async with rig.running():
        x = rig["stage"].x
        with pytest.raises(ProfileError, match="without units"):
            CalibratedAxis(x, calibration, scale="angle_zero")
        with pytest.raises(ProfileError, match="angle_zero is in 'deg', stage-x in 'mm'"):
            await CalibratedAxis(x, calibration, zero="angle_zero", name="wrong").connect()


def test_a_scan_over_it(rig, engine, in_loop):
    rig.build()
    in_loop(rig.connect())
    try:
        events = []
        engine(bps.mv(rig["stage"].x.enabled, True))
        engine(bp.scan([], rig["edge"], -1, 1, 3), lambda n, d: events.append(d) if n == "event" else None)
        assert [e["data"]["edge"] for e in events] == pytest.approx([-1, 0, 1], abs=1e-3)
    finally:
        in_loop(rig.disconnect())
        rig.close()


class Laser(Device):
    def __init__(self, units: str) -> None:
        self.wavelength = soft_signal_rw(float, 820.0, units=units)
        super().__init__()


def follower(bench, units="nm"):
    rig = Rig("lab")

    @rig.device
    def laser() -> Laser:
        return Laser(units)

    @rig.device
    def meter() -> Newport1830C:
        return Newport1830C(bench.urls["newport_1830c"])

    rig.follow("meter.wavelength", "laser.wavelength")
    return rig


async def test_the_meter_has_the_lasers_wavelength_when_the_set_is_done(bench):
    rig = follower(bench)
    async with rig.running():
        assert rig.failures == {}
        assert bench.newport_1830c.settings["W"] == 820
        await rig["laser.wavelength"].set(905.0)
        assert bench.newport_1830c.settings["W"] == 905
        wavelength = rig["laser.wavelength"]
    await wavelength.set(700.0)
    assert bench.newport_1830c.settings["W"] == 905


async def test_a_follower_that_cannot_fails_the_set(bench):
    rig = follower(bench)
    async with rig.running():
        with pytest.raises(LimitError, match="meter-wavelength: 2000 nm is outside") as error:
            await rig["laser.wavelength"].set(2000.0)
        assert "laser-wavelength was set; meter-wavelength, which follows it, was not" in error.value.__notes__


async def test_units_must_agree_and_one_follows_one_only(bench):
    rig = follower(bench, units="um")
    async with rig.running():
        assert "does not follow laser.wavelength: meter-wavelength is in 'nm', laser-wavelength in 'um'" in str(
            rig.failures["meter.wavelength"]
        )
        assert "meter" in rig.devices
    with pytest.raises(ProfileError, match=r"meter\.wavelength follows laser\.wavelength already"):
        rig.follow("meter.wavelength", "other")


def test_a_plan_waits_for_the_follower(bench, engine, in_loop):
    rig = follower(bench)
    rig.build()
    in_loop(rig.connect())
    try:
        engine(bps.mv(rig["laser.wavelength"], 633.0))
        assert bench.newport_1830c.settings["W"] == 633
    finally:
        in_loop(rig.disconnect())


async def test_what_the_axis_refuses_is_known_before_anything_moves(rig):
    async with rig.running():
        edge, image = rig["edge"], rig["image"]
        await edge.check_value(-2.0)
        with pytest.raises(LimitError, match=r"edge: 100 is 103 on stage-x; .*→ allowed: -25"):
            await edge.check_value(100)
        with pytest.raises(LimitError, match="edge: nan is not a finite number"):
            await edge.check_value(float("nan"))
        assert (await edge.describe())["edge"]["limits"]["control"] == {"low": -28.0, "high": 22.0}
        assert (await image.describe())["image"]["limits"]["control"] == {"low": -28000.0, "high": 22000.0}
        (row,) = await where([edge])
        assert (row.low, row.high) == (-28.0, 22.0)


async def test_another_unit_of_the_axis_is_noticed(rig):
    async with rig.running():
        edge, x = rig["edge"], rig["stage"].x
        await x.unit.set("um")
        try:
            for use in (edge.read, edge.locate, lambda: edge.check_value(1.0)):
                with pytest.raises(UnitsError, match="edge: stage-x is in 'um' now, and was calibrated in 'mm'"):
                    await use()
            with pytest.raises(UnitsError, match="is in 'um' now"):
                edge.set(1.0)
            with pytest.raises(UnitsError, match="is in 'um' now"):
                await edge.set_current_position(0.0, why="edge found")
        finally:
            await x.unit.set("mm")
        await edge.read()


async def test_the_table_of_axes_shows_the_limits_that_hold(bench):
    stage = Esp300(bench.urls["esp300"], {1: "x"}, "stage", limits={1: (-20, 20)})
    await stage.connect()
    try:
        (row,) = await where([stage.x])
        assert (row.low, row.high) == (-20, 20)
    finally:
        stage.close()
