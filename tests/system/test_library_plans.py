"""Each shipped plan on the simulated bench: its result held against the bench's physics, and read back from Tiled."""

from __future__ import annotations

import dataclasses
import math
import threading
from contextlib import contextmanager
from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngineInterrupted

from rdaq_ophyd.errors import LimitError, RdaqError, UnknownName
from rdaq_ophyd.plans import focus, power_vs_angle, raster
from rdaq_ophyd.rig import fitting
from rdaq_ophyd.samples import column_path, samples_path, statistic_path
from rdaq_ophyd.sim import Beam, BenchProcess
from rdaq_ophyd.startup import Session, bind, find_plan, start

ROOT = Path(__file__).parents[2]
BEAM = Beam()
MORE = """
from rdaq_ophyd.devices.sim_analog import SimAnalogInput
from rdaq_ophyd.samples import Calibration

@rig.device
def theta(stage: Esp300) -> Esp300Axis:
    return stage.axes[3]

@rig.device
def z(stage: Esp300) -> Esp300Axis:
    return stage.axes[4]

@rig.device
def adc(paths) -> SimAnalogInput:
    return SimAnalogInput(paths, samples=200, calibrations={"ai1": Calibration("W", 2.0)})

rig.calibration.add("theta_zero", 0.0, units="deg")
"""


@pytest.fixture(scope="module")
def session(bench: BenchProcess, profile_path, data_dir, tmp_path_factory, nothing_left_by_module):
    """The bench with polariser and lens, all at zero, and a meter that does not average."""
    path = tmp_path_factory.mktemp("profile") / "optics.py"
    path.write_text(profile_path.read_text().replace('2: "y"}', '2: "y", 3: "theta", 4: "z"}') + MORE)
    with start(str(path), data_dir=data_dir) as made:
        made.catalog.ready()
        made.RE(bps.mv(made.rig["power_meter"].filter, "fast"))
        yield made


@pytest.fixture(autouse=True)
def at_zero(session: Session):
    """Each test begins with everything at its zero."""
    rig = session.rig
    axes = [rig[name] for name in ("x", "y", "theta", "z")]
    session.RE(bps.mv(*(item for axis in axes for item in (axis.enabled, True))))
    session.RE(bps.mv(*(item for axis in axes for item in (axis, 0))))


def run(session: Session, name: str, **given):
    """Result of a script's plan with options as the command line has them."""
    plan = find_plan(str(ROOT / "plans" / f"{name}.py"))
    given = {key: str(value) for key, value in {"settle": 0, **given}.items()}
    result = session.RE(bind(plan, session.rig, given))
    assert result.exit_status == "success"
    return result.plan_result


def fit_of(session: Session) -> dict:
    """What the last run recorded as its fit, read back."""
    found = session.c[-1]["fit"].read()
    return {key: float(found[key][0]) for key in found if key not in ("time", "seq_num") and found[key].size == 1}


def recorded(session: Session, found) -> bool:
    told = fit_of(session)
    return all(told[key] == pytest.approx(value) for key, value in dataclasses.asdict(found).items())


def test_knife_edge(session):
    edge = run(session, "knife_edge", start=0, stop=2.4, num=25)
    assert edge.center == pytest.approx(BEAM.centre, abs=0.005)
    assert edge.radius == pytest.approx(BEAM.radius, rel=0.02)
    assert edge.power == pytest.approx(BEAM.power, rel=0.01)
    assert edge.residual < 0.01
    assert edge.center_error < 0.01
    assert recorded(session, edge)
    assert session.c[-1].metadata["start"]["plan_name"] == "knife_edge_scan"


def test_power_against_angle(session):
    found = run(session, "power_vs_angle", num=9)
    assert found.angle_max == pytest.approx(BEAM.axis, abs=0.2)
    assert found.angle_min == pytest.approx(BEAM.axis + 90, abs=0.2)
    highest = BEAM.power * BEAM.through_polariser(BEAM.axis) + BEAM.background
    assert found.maximum == pytest.approx(highest, rel=0.005)
    assert found.extinction_ratio > 100
    assert recorded(session, found)
    units = session.c[-1]["fit"].read()["angle_max"].attrs
    assert units.get("units", "deg") == "deg"


def test_calibration_finds_and_keeps_the_extinction(session):
    found = run(session, "calibrate_rotator", num=9, into="calibration.theta_zero")
    assert found.angle == pytest.approx(BEAM.axis + 90, abs=0.1)
    kept = session.RE(bps.rd(session.rig["calibration.theta_zero"])).plan_result
    assert kept == found.angle
    assert session.RE(bps.rd(session.rig["theta"])).plan_result == pytest.approx(found.angle, abs=0.01)
    assert recorded(session, found)


def test_a_calibration_without_a_polariser_keeps_nothing(session):
    before = session.RE(bps.rd(session.rig["calibration.theta_zero"])).plan_result
    session.RE(bps.mv(session.rig["x"], 20))  # dark
    with pytest.raises(RdaqError, match="does not depend on the angle"):
        run(session, "calibrate_rotator", num=5, into="calibration.theta_zero")
    assert session.RE(bps.rd(session.rig["calibration.theta_zero"])).plan_result == before
    assert session.c[-1].metadata["stop"]["exit_status"] == "fail"


def test_raster_recovers_the_pinhole_in_the_beam(session):
    spot = run(session, "raster", x_start=3.4, x_stop=4.6, x_num=6, y_start=1.4, y_stop=2.6, y_num=5)
    assert (spot.x, spot.y) == pytest.approx(BEAM.pinhole, abs=0.02)
    assert (spot.radius_x, spot.radius_y) == pytest.approx((BEAM.radius, BEAM.radius), rel=0.05)
    data = session.c[-1]["primary"].read()
    turns = np.sign(np.diff(data["x"].values)).reshape(-1)
    assert len(data["x"]) == 30
    assert list(turns[:5]) == [1] * 5
    assert list(turns[6:11]) == [-1] * 5  # to and fro
    assert recorded(session, spot)


def test_focus(session):
    found = run(session, "focus", tolerance=0.3)
    assert found.position == pytest.approx(BEAM.focus, abs=0.15)
    assert found.points <= 60
    assert session.RE(bps.rd(session.rig["z"])).plan_result == pytest.approx(found.position, abs=0.01)
    assert recorded(session, found)


def test_time_series_keeps_its_rhythm(session):
    plan = find_plan(str(ROOT / "plans" / "time_series.py"))
    result = session.RE(bind(plan, session.rig, {"num": "8", "period": "0.25"})).plan_result
    assert (result.points, result.skipped) == (8, 0)
    times = session.c[-1]["primary"].read()["time"].values
    beats = (times - times[0]) / 0.25
    assert len(beats) == 8
    assert np.abs(beats - np.round(beats)).max() < 0.8  # each within its own beat: nothing adds up
    assert round(beats[-1]) == 7
    assert recorded(session, result)


def test_the_meters_wavelength_follows(session):
    run(session, "wavelength_sweep", source="power_meter", start=700, stop=900, num=3)
    data = session.c[-1]["primary"].read()
    assert list(data["power_meter-wavelength"]) == [700, 800, 900]
    power = data["power_meter-power"].values
    assert power[0] > power[1] > power[2]  # the detector answers more to the longer wavelengths that it is set to


@contextmanager
def blocks_of(session: Session, plan):
    """Data keys and file of what the plan records, and what Tiled has of it."""
    docs = []
    session.RE(plan, lambda name, document: docs.append((name, document)))
    stream = session.c[-1]["primary"]
    described = next(d["data_keys"] for name, d in docs if name == "descriptor" and d["name"] == "primary")
    (uri,) = {d["uri"] for name, d in docs if name == "stream_resource"}
    with h5py.File(uri.removeprefix("file://localhost")) as file:
        yield described, file, stream


@pytest.mark.parametrize("number", [1, 50])
def test_record_is_the_same_in_descriptor_file_and_tiled(session, number):
    plan = bind(find_plan(str(ROOT / "plans" / "record.py")), session.rig, {"seconds": str(number * 0.02)})
    with blocks_of(session, plan) as (described, file, stream):
        read = stream.read()
        for channel, units in (("ai0", "V"), ("ai1", "W")):
            key, values = f"adc-{channel}", file[samples_path(channel)][:]
            node = stream[key]
            assert values.shape == node.shape == read[key].shape == (number, 200)
            assert described[key]["shape"] == [200]
            assert described[key]["units"] == file[samples_path(channel)].attrs["units"] == units
            assert np.dtype(described[key]["dtype_numpy"]) == values.dtype == node.dtype == read[key].dtype
            assert np.array_equal(read[key].values, values)
            assert np.array_equal(node[number - 1], values[number - 1])
            assert read[key].dims[1] == "adc_sample"
        assert np.array_equal(read["adc-time"].values, file[column_path("timestamps")][:])
        assert np.array_equal(read["adc-lost"].values, np.zeros(number))


def test_samples_of_a_step_scan_are_the_same_in_file_and_tiled(session):
    with blocks_of(session, bp.count([session.rig["adc"]], 3)) as (_, file, stream):
        read = stream.read()
        assert np.array_equal(read["adc-ai1"].values, file[samples_path("ai1")][:])
        for name in ("mean", "std", "min", "max"):
            assert np.array_equal(read[f"adc-ai1-{name}"].values, file[statistic_path("ai1", name)][:])
        assert np.array_equal(read["adc-time"].values, file[column_path("timestamps")][:])


@contextmanager
def after_events(session: Session, count: int, action):
    """Act from another thread once the run has recorded so many points."""
    seen, enough = [], threading.Event()

    def note(name, doc):
        seen.append(doc["seq_num"])
        if len(seen) >= count:
            enough.set()

    def act():
        if enough.wait(30):
            action()

    token = session.RE.subscribe(note, "event")
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
        session.RE.unsubscribe(token)
        assert enough.is_set()


def test_pause_and_resume_in_mid_scan_leave_whole_data(session):
    rig = session.rig
    for count in (2, 5):
        with (
            after_events(session, count, lambda: session.RE.request_pause()),
            pytest.raises(RunEngineInterrupted),
        ):
            session.RE(power_vs_angle(rig["theta"], rig["power_meter"], 0, 160, 9, 0.0))
        assert session.RE.state == "paused"
        found = session.RE.resume().plan_result
        assert found.angle_max == pytest.approx(BEAM.axis, abs=0.3)
        assert len(session.c[-1]["primary"].read()["theta"]) == 9


def test_abort_leaves_a_closed_run_and_the_axis_at_rest(session):
    rig = session.rig
    with after_events(session, 4, lambda: session.RE.abort("enough")), pytest.raises(RunEngineInterrupted):
        session.RE(raster(rig["x"], rig["y"], rig["power_meter"], -5, 5, 30, -5, 5, 30, 0.0))
    assert session.RE.state == "idle"
    assert session.c[-1].metadata["stop"]["exit_status"] == "abort"
    assert session.RE(bps.rd(rig["x"].done)).plan_result


BAD = [
    ("knife_edge", {"start": 2, "stop": 1}, "lower limit as start"),
    ("knife_edge", {"num": 4}, "num = '4'"),
    ("knife_edge", {"stop": "nan"}, "stop = 'nan'"),
    ("knife_edge", {"stop": 400}, "outside the software limits"),
    ("power_vs_angle", {"start": 0, "stop": 45}, "too short a turn"),
    ("power_vs_angle", {"stop": 179}, "outside the software limits"),
    ("calibrate_rotator", {"find": "zero"}, "find = 'zero'"),
    ("raster", {"x_start": 1, "x_stop": 1}, "nothing to scan"),
    ("raster", {"y": "x"}, "same axis"),
    ("focus", {"tolerance": 0}, "tolerance = '0'"),
    ("wavelength_sweep", {"source": "power_meter", "start": 200, "stop": 400}, "outside the limits"),
    ("wavelength_sweep", {"source": "x"}, "needs WavelengthTunable.*power_meter"),
    ("time_series", {"num": 0}, "num = '0'"),
]


@pytest.mark.parametrize(("name", "given", "message"), BAD)
def test_bad_input_is_refused_before_anything_moves(session, bench, name, given, message):
    before = len(bench.arrivals("esp300", b"PA"))
    runs = len(session.c)
    settle = {} if name == "time_series" else {"settle": 0}
    plan = find_plan(str(ROOT / "plans" / f"{name}.py"))
    with pytest.raises(RdaqError, match=message):
        session.RE(bind(plan, session.rig, {k: str(v) for k, v in (settle | given).items()}))
    assert len(bench.arrivals("esp300", b"PA")) == before
    assert len(session.c) == runs


def test_searches_that_cannot_end_well_say_so(session):
    z, meter = session.rig["z"], session.rig["power_meter"]
    session.RE(bps.mv(session.rig["x"], 4, session.rig["y"], 2))
    with pytest.raises(RdaqError, match="end of the range"):
        session.RE(focus(z, meter, -3, 1, 0.1, settle=0.0))
    with pytest.raises(UnknownName, match="power_meter-power"):
        session.RE(focus(z, meter, metric="powr"))
    with pytest.raises(LimitError, match="at least one round"):
        session.RE(focus(z, meter, num=20, max_points=10))
    assert not math.isnan(session.RE(bps.rd(z)).plan_result)


def test_names_of_devices_that_could_be_taken(session):
    from rdaq_ophyd.capabilities import ExposureControl, Movable

    assert fitting(ExposureControl, session.rig["x"]) == ["cam"]
    assert set(fitting(Movable, session.rig["cam"])) == {"x", "y", "theta", "z"}
