"""Each shipped plan on profile `sim`, ten times as fast: its result held against the bench's physics."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from optics import Runs, brisk, no_tiled

from rdaq_ophyd.capabilities import ExposureControl, Movable
from rdaq_ophyd.errors import LimitError, RdaqError, UnknownName
from rdaq_ophyd.plans import focus, set_calibration
from rdaq_ophyd.rig import fitting
from rdaq_ophyd.sim import Beam, Light, Record
from rdaq_ophyd.startup import Session, bind, find_plan, start

ROOT = Path(__file__).parents[2]
BEAM = Beam()


@pytest.fixture(scope="module")
def session(optics_profile, data_dir, nothing_left_by_module):
    """The simulated rig with its laser shuttered, and a meter that does not average; runs are kept in memory."""
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(optics_profile), data_dir=data_dir, operator="ada") as made:
            assert made.rig.failures == {}
            brisk(made)
            yield made


@pytest.fixture(scope="module")
def runs(session):
    with Runs(session.RE) as kept:
        yield kept


@pytest.fixture
def at_zero(session: Session):
    """Each test begins with everything at its zero."""
    axes = [session.rig[name] for name in ("x", "y", "z", "polariser", "waveplate")]
    session.RE(bps.mv(*(item for axis in axes for item in (axis, 0))))


def run(session: Session, name: str, **given):
    """Result of a script's plan with options as the command line has them, in the light of the laser."""
    plan = find_plan(str(ROOT / "plans" / f"{name}.py"))
    given = {key: str(value) for key, value in {"light": "laser", **given}.items() if value is not None}
    result = session.RE(bind(plan, session.rig, given))
    assert result.exit_status == "success"
    assert not session.RE(bps.rd(session.rig["laser"].shutter)).plan_result
    return result.plan_result


def recorded(runs: Runs, found) -> bool:
    return runs[-1].rows("fit")[0] == pytest.approx({**dataclasses.asdict(found), "left_out": 0})


def test_knife_edge(session, at_zero, runs):
    edge = run(session, "knife_edge", start=0, stop=2.4, num=17)
    assert edge.center == pytest.approx(BEAM.centre, abs=0.005)
    assert edge.radius == pytest.approx(BEAM.radius, rel=0.02)
    assert edge.power == pytest.approx(BEAM.power, rel=0.01)
    assert edge.residual < 0.01
    assert edge.center_error < 0.01
    assert recorded(runs, edge)
    assert runs[-1].units("fit")["center"] == "mm"
    assert runs[-1].units("fit")["power"] == "W"
    assert runs[-1].start["plan_name"] == "knife_edge_scan"
    assert [row["laser-shutter"] for row in runs[-1].rows("baseline")] == [True, True]


def test_without_light_the_log_says_why_there_is_no_edge(session, at_zero, caplog):
    assert run(session, "knife_edge", start=0, stop=2.4, num=15, light=None) is None
    assert "the shutter of laser is closed (light=laser opens it for the measurement)" in caplog.text


def test_power_against_angle(session, at_zero, runs):
    found = run(session, "power_vs_angle", num=9, settle=0)
    assert found.angle_max == pytest.approx(BEAM.axis, abs=0.2)
    assert found.angle_min == pytest.approx(BEAM.axis + 90, abs=0.2)
    highest = BEAM.power * BEAM.through_polariser(BEAM.axis) + BEAM.background
    assert found.maximum == pytest.approx(highest, rel=0.005)
    assert found.extinction_ratio > 100
    assert recorded(runs, found)
    assert {"polariser", "power_meter-power"} <= set(runs[-1].rows("primary")[0])


def test_calibration_finds_the_extinction_and_keeps_it_with_its_reason(session, at_zero, runs):
    found = run(session, "calibrate_rotator", num=9, settle=0, into="calibration.polariser_zero", why="new polariser")
    assert found.angle == pytest.approx(BEAM.axis + 90, abs=0.1)
    assert recorded(runs, found)
    kept = session.rig.calibration.history("polariser_zero")[-1]
    assert (kept.value, kept.by) == (found.angle, "ada")
    assert kept.why == f"new polariser; extinction found by calibrate_rotator, run {runs[-1].start['uid']}"
    assert runs[-1].start["why"] == "new polariser"
    assert session.RE(bps.rd(session.rig["polariser"])).plan_result == pytest.approx(found.angle, abs=0.01)
    # The next run tells which zero held, and why.
    run(session, "time_series", num=1)
    assert runs[-1].start["calibrations"]["polariser_zero"]["why"] == kept.why


def test_a_calibration_in_the_dark_keeps_nothing(session, at_zero, runs):
    before = session.rig.calibration.history()
    with pytest.raises(RdaqError, match="does not depend on the angle.*is there light"):
        run(session, "calibrate_rotator", num=5, settle=0, into="calibration.polariser_zero", light=None)
    assert session.rig.calibration.history() == before
    assert runs[-1].stop["exit_status"] == "fail"


def test_a_plan_sets_a_calibration_with_a_reason(session):
    calibration = session.rig.calibration
    plan = find_plan("set_calibration")
    given = {"calibration": "calibration.pixel_size", "value": "3.46", "why": "grid"}
    session.RE(bind(plan, session.rig, given))
    assert calibration.value("pixel_size") == 3.46
    assert (calibration.history()[-1].by, calibration.history()[-1].why) == ("ada", "grid")
    session.RE(set_calibration(calibration.pixel_size, 3.45, "the grid was upside down", by="bob"))
    assert (calibration.history()[-1].by, calibration.history()[-1].value) == ("bob", 3.45)


def test_a_half_wave_plate_turns_the_polarisation_by_twice_its_angle(session, at_zero):
    session.RE(bps.mv(session.rig["waveplate"], 10))
    assert run(session, "power_vs_angle", num=9, settle=0).angle_max == pytest.approx(BEAM.axis + 20, abs=0.2)


def test_raster_recovers_the_pinhole_in_the_beam(session, at_zero, runs):
    spot = run(session, "raster", x_start=3.4, x_stop=4.6, x_num=5, y_start=1.4, y_stop=2.6, y_num=4, settle=0)
    assert (spot.x, spot.y) == pytest.approx(BEAM.pinhole, abs=0.02)
    assert (spot.radius_x, spot.radius_y) == pytest.approx((BEAM.radius, BEAM.radius), rel=0.05)
    rows = runs[-1].rows("primary")
    turns = np.sign(np.diff([row["x"] for row in rows]))
    assert len(rows) == 20
    assert list(turns[:4]) == [1] * 4
    assert list(turns[5:9]) == [-1] * 4  # to and fro
    assert recorded(runs, spot)


@pytest.mark.parametrize(("detector", "metric", "units"), [("power_meter", "", "W"), ("cam", "max", "counts")])
def test_focus(session, at_zero, runs, detector, metric, units):
    found = run(session, "focus", tolerance=0.6, settle=0, power_meter=detector, metric=metric)
    assert found.position == pytest.approx(BEAM.focus, abs=0.15)
    assert found.points <= 60
    assert session.RE(bps.rd(session.rig["z"])).plan_result == pytest.approx(found.position, abs=0.01)
    assert recorded(runs, found)
    assert runs[-1].units("fit")["value"] == units
    if metric:
        assert len(runs[-1].rows("primary")) == found.points
        assert max(row["cam-max"] for row in runs[-1].rows("primary")) == found.value


def test_time_series_keeps_its_rhythm(session, runs):
    result = run(session, "time_series", num=6, period=0.25)
    assert (result.points, result.skipped) == (6, 0)
    times = np.array(runs[-1].times("primary"))
    beats = (times - times[0]) / 0.25
    assert len(beats) == 6
    assert np.abs(beats - np.arange(6)).max() < 0.8  # each within its own beat: nothing adds up
    assert recorded(runs, result)


def test_the_meter_follows_the_laser_through_a_sweep(session, at_zero, runs):
    run(session, "wavelength_sweep", start=780, stop=840, num=4, settle=0)
    rows = runs[-1].rows("primary")
    nm = [row["laser-wavelength"] for row in rows]
    assert nm == [row["power_meter-wavelength"] for row in rows] == [780, 800, 820, 840]
    # The meter reads watts: its own responsivity is accounted for at each wavelength.
    powers = [row["power_meter-power"] for row in rows]
    assert powers == pytest.approx([BEAM.power * Light(w).strength + BEAM.background for w in nm], rel=0.01)
    assert runs[-1].start["follows"] == [{"signal": "power_meter.wavelength", "source": "laser.wavelength"}]


def test_the_meter_follows_whoever_tunes_the_laser(session):
    laser, meter = session.rig["laser"], session.rig["power_meter"]
    for nm in (810, 800):
        session.RE(bps.mv(laser.wavelength, nm))
        assert session.RE(bps.rd(meter.wavelength)).plan_result == nm


def test_a_sweep_of_a_dark_laser_says_so(session, runs, caplog):
    run(session, "wavelength_sweep", start=795, stop=800, num=2, settle=0, light=None)
    assert "wavelength_sweep: the shutter of laser is closed" in caplog.text
    assert max(row["power_meter-power"] for row in runs[-1].rows("primary")) < 2 * BEAM.background


def test_expose_takes_frames_of_the_spot(session, at_zero, runs):
    cam, laser = session.rig["cam"], session.rig["laser"]
    for light, brightest in ((laser, 20_000), (None, 100)):
        plan = find_plan("expose")
        given = {"camera": "cam", "seconds": "0.01", "frames": "2", "light": light and light.name}
        session.RE(bind(plan, session.rig, {key: value for key, value in given.items() if value}))
        assert runs[-1].stop["exit_status"] == "success"
        assert [row["cam-max"] for row in runs[-1].rows("primary")] == pytest.approx([brightest] * 2, rel=0.1, abs=60)
        assert runs[-1].frames == 2
    assert session.RE(bps.rd(cam.exposure)).plan_result == 0.01


BAD = [
    ("knife_edge", {"start": 2, "stop": 1}, "lower limit as start"),
    ("knife_edge", {"num": 4}, "num = '4'"),
    ("knife_edge", {"stop": "nan"}, "stop = 'nan'"),
    ("knife_edge", {"stop": 400}, "outside the software limits"),
    ("knife_edge", {"light": "power_meter"}, "light needs ShutterControl.*laser"),
    ("power_vs_angle", {"start": 0, "stop": 45}, "too short a turn"),
    ("power_vs_angle", {"stop": 1e8}, "do not fit"),
    ("calibrate_rotator", {"find": "zero"}, "find = 'zero'"),
    ("raster", {"x_start": 1, "x_stop": 1}, "nothing to scan"),
    ("raster", {"y": "x"}, "same axis"),
    ("focus", {"tolerance": 0}, "tolerance = '0'"),
    ("focus", {"y": "x"}, "x, y and z are not three axes"),
    ("wavelength_sweep", {"start": 500, "stop": 800}, "out of range|outside the limits"),
    ("wavelength_sweep", {"source": "x"}, "needs WavelengthTunable.*power_meter"),
    ("time_series", {"num": 0}, "num = '0'"),
]


@pytest.mark.parametrize(("name", "given", "message"), BAD)
def test_bad_input_is_refused_before_anything_moves_or_opens(session, runs, sim_log, name, given, message):
    moving = {sim_log / "esp300.jsonl": b"PA", sim_log / "ell14.jsonl": b"ma", sim_log / "maitai.jsonl": b"SHUTter 1"}
    before, known = [log.stat().st_size for log in moving], len(runs)
    plan = find_plan(str(ROOT / "plans" / f"{name}.py"))
    with pytest.raises(RdaqError, match=message):
        session.RE(bind(plan, session.rig, {k: str(v) for k, v in ({"light": "laser"} | given).items()}))
    for (log, command), size in zip(moving.items(), before, strict=True):
        since = [Record.from_json(line) for line in log.read_bytes()[size:].split(b"\n")[:-1]]
        assert command not in b"".join(record.data for record in since if record.direction == "rx")
    assert len(runs) == known


def test_searches_that_cannot_end_well_say_so(session, at_zero):
    z, meter, laser = session.rig["z"], session.rig["power_meter"], session.rig["laser"]
    session.RE(bps.mv(session.rig["x"], 4, session.rig["y"], 2))
    with pytest.raises(RdaqError, match="end of the range"):
        session.RE(focus(z, meter, -3, 1, 0.1, settle=0.0, light=laser))
    with pytest.raises(UnknownName, match="power_meter-power"):
        session.RE(focus(z, meter, metric="powr"))
    with pytest.raises(LimitError, match="at least one round"):
        session.RE(focus(z, meter, num=20, max_points=10))
    assert not math.isnan(session.RE(bps.rd(z)).plan_result)


def test_names_of_devices_that_could_be_taken(session):
    assert fitting(ExposureControl, session.rig["x"]) == ["cam"]
    assert set(fitting(Movable, session.rig["cam"])) == {"x", "y", "z", "polariser", "waveplate"}
