"""Fly scans: a stage on a real pty and a camera, in one flight; each frame with its place, whatever interrupts."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import event_model
import h5py
import numpy as np
import pytest
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import FailedStatus
from ophyd_async.core import Device, StaticPathProvider, UUIDFilenameProvider, soft_signal_rw
from planthread import PlanThread, wait

from rdaq_ophyd.capabilities import TimedDetector, TrackedAxis
from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.devices.sim_analog import SimAnalogInput
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.frames import DATA
from rdaq_ophyd.plans import fly_scan
from rdaq_ophyd.sim import SimEsp300, serve_pty
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop
from rdaq_ophyd.stop import reset, stop_all

NUM, RATE = 20, 40.0


class Lamp(Device):
    """A source of light with a shutter."""

    def __init__(self, name: str) -> None:
        self.shutter = soft_signal_rw(bool)
        super().__init__(name=name)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """``RE``, axis ``x`` and camera ``cam``, as a session has them."""
    folder = tmp_path_factory.mktemp("frames")
    devices: dict = {}
    RE = make_run_engine({}, scan_id_source=lambda md: 1, devices=devices.values, person=False)
    with serve_pty(SimEsp300(speed=5.0), lift_baud=True) as port:

        async def make() -> None:
            paths = StaticPathProvider(UUIDFilenameProvider(), folder)
            devices.update(
                stage=Esp300(port.url, {1: "x"}, "stage"), cam=SyntheticCamera(paths, "cam", width=16, height=8)
            )
            devices["adc"] = SimAnalogInput(paths, "adc")
            devices["lamp"] = Lamp(name="lamp")
            for device in devices.values():
                await device.connect()

        call_in_bluesky_event_loop(make(), timeout=20)
        with RE.plan_end:
            parts = {name: devices[name] for name in ("cam", "adc", "lamp")}
            yield SimpleNamespace(RE=RE, x=devices["stage"].x, port=port, folder=folder, **parts)
        for name in ("cam", "adc"):
            call_in_bluesky_event_loop(devices[name].close(), timeout=20)
        devices["stage"].close()
        stop_loop(RE)


@pytest.fixture
def rig(bench) -> Iterator[SimpleNamespace]:
    """The bench at rest, with the documents of the test."""
    bench.documents = []
    token = bench.RE.subscribe(lambda name, doc: bench.documents.append((name, doc)))
    yield bench
    if bench.RE.state == "paused":
        bench.RE.abort()
    bench.RE.unsubscribe(token)
    for path in bench.folder.glob("*.h5"):
        path.unlink()


def scan(rig, **given):
    return fly_scan(rig.cam, axis=rig.x, **{"start": 0.0, "stop": 2.0, "num": NUM, "rate": RATE, **given})


def rows(rig, stream: str) -> dict[str, np.ndarray]:
    """The events of a stream, all pages one after another."""
    (uid,) = [doc["uid"] for name, doc in rig.documents if name == "descriptor" and doc["name"] == stream]
    pages = [doc for name, doc in rig.documents if name == "event_page" and doc["descriptor"] == uid]
    return {key: np.concatenate([page["data"][key] for page in pages]) for key in pages[0]["data"]} if pages else {}


def frames_told(rig) -> int:
    told = {doc["uid"] for name, doc in rig.documents if name == "stream_resource" and doc["data_key"] == rig.cam.name}
    spans = [d["indices"] for name, d in rig.documents if name == "stream_datum" and d["stream_resource"] in told]
    return sum(span["stop"] - span["start"] for span in spans)


def stop_document(rig) -> dict:
    return next(doc for name, doc in rig.documents if name == "stop")


def flying(rig) -> bool:
    return rig.cam._pipeline.acquiring and rig.cam._pipeline.rows > 3


def test_each_frame_has_its_place(rig):
    assert isinstance(rig.x, TrackedAxis)
    assert isinstance(rig.cam, TimedDetector)
    places = rig.RE(scan(rig)).plan_result
    for name, document in rig.documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(document)
    assert frames_told(rig) == NUM == len(places)
    at, flight = rows(rig, "stage-x_at_cam"), rows(rig, "flight")
    key = rig.x.name
    assert at[key].tolist() == places.tolist()
    assert at[f"{key}-measured"].all()
    assert np.all((places >= -0.01) & (places <= 2.01))
    # 20 exposures at 40 Hz and margins of twice 0.25 s over 2 mm: 2 mm/s, so 0.05 mm a frame.
    steps = np.diff(places)
    assert np.all(steps >= 0)
    assert (places[-1] - places[0]) / (at["cam-time"][-1] - at["cam-time"][0]) == pytest.approx(2.0, rel=0.1)
    np.testing.assert_allclose(np.interp(at["cam-time"], flight[f"{key}-time"], flight[key]), places)
    (path,) = rig.folder.glob("*.h5")
    with h5py.File(path) as file:
        assert len(file[DATA]) == NUM
        arrived, count_time = file["/entry/data/timestamps"][:], file["/entry/data/count_time"][:]
    np.testing.assert_allclose(at["cam-time"], arrived - count_time / 2)


def test_frames_that_waited_for_the_disk_have_their_places(rig, monkeypatch):
    driver = rig.cam.driver
    take, hiccup = driver.next_frame, threading.Event()

    def stalled(timeout):
        if rig.cam._pipeline.rows == 5 and not hiccup.is_set():
            hiccup.set()
            threading.Event().wait(0.3)  # 12 frames: fewer than it has buffers
        return take(timeout)

    monkeypatch.setattr(driver, "next_frame", stalled)
    places = rig.RE(scan(rig)).plan_result
    assert hiccup.is_set()
    assert frames_told(rig) == NUM
    np.testing.assert_allclose(np.diff(places), 0.05, atol=0.1)


def test_the_flight_is_told_while_it_goes_on(rig):
    rig.RE(scan(rig, num=80, stop=4.0))
    names = [name for name, _ in rig.documents]
    first = names.index("stream_datum")
    assert names.index("stream_resource") < first
    spans = [d["indices"] for name, d in rig.documents if name == "stream_datum"]
    assert len({(span["start"], span["stop"]) for span in spans}) >= 3
    assert all(span["stop"] - span["start"] < 60 for span in spans)
    at = rows(rig, "stage-x_at_cam")
    assert at["stage-x-measured"].all(), "an exposure waits for the sample after it"
    assert len(at["stage-x"]) == 80 == frames_told(rig)
    flight = rows(rig, "flight")
    np.testing.assert_allclose(np.interp(at["cam-time"], flight["stage-x-time"], flight["stage-x"]), at["stage-x"])
    last = len(names) - 1 - names[::-1].index("stream_datum")
    assert names[first:last].count("event_page") >= 4, "positions do not wait for the end"


def even(at, times=1):
    """Positions of scans at 2 mm/s, all measured, one step after the other, but for so many seams.

    A busy machine takes a frame late, when the axis is further, and hears late where it was: some steps are uneven.
    """
    assert at["stage-x-measured"].all()
    (when,) = [values for key, values in at.items() if key.endswith("-time")]
    steps, flown = np.diff(at["stage-x"]), 2.0 * np.diff(when)
    assert np.median(steps) == pytest.approx(0.05, rel=0.2)
    uneven = np.abs(steps - flown) > 0.05
    assert np.sum(uneven) <= 2 * times + len(steps) // 10, steps - flown
    assert np.all(steps > -0.2), steps


def paused(rig, plan, condition):
    """Run it until the pause that comes as soon as the condition holds."""
    running = PlanThread(rig.RE, plan)
    wait(condition)
    rig.RE.request_pause()
    running.end()
    assert isinstance(running.error, RunEngineInterrupted)
    assert rig.RE.state == "paused"
    assert not rig.cam._pipeline.acquiring


def test_a_pause_keeps_what_was_taken_and_the_rest_is_flown_from_there(rig):
    paused(rig, scan(rig, num=60, stop=4.0), lambda: frames_told(rig) > 3)
    taken = rig.cam._pipeline.rows
    result = rig.RE.resume()
    assert result.exit_status == "success"
    assert 3 < taken < frames_told(rig) == 60 == len(result.plan_result)
    at = rows(rig, "stage-x_at_cam")
    assert at[rig.x.name].tolist() == result.plan_result.tolist()
    even(at)
    assert np.all(np.diff(at["cam-time"]) > 0)
    assert np.diff(at["cam-time"])[taken - 1] > 0.1, "the axis went back meanwhile"
    flight = rows(rig, "flight")
    np.testing.assert_allclose(np.interp(at["cam-time"], flight["stage-x-time"], flight["stage-x"]), at["stage-x"])
    (path,) = rig.folder.glob("*.h5")
    with h5py.File(path) as file:
        assert len(file[DATA]) == 60
        arrived, count_time = file["/entry/data/timestamps"][:], file["/entry/data/count_time"][:]
    np.testing.assert_allclose(at["cam-time"], arrived - count_time / 2)


def test_pauses_at_any_time_leave_each_frame_once_and_with_its_place(rig):
    """Before the first frame, in the flight, in a later leg, and on the way back to it."""
    paused(rig, scan(rig, num=60, stop=4.0), lambda: rig.x.flyable_logic.flying)
    for frames in (8, 30):
        running = PlanThread(lambda _: rig.RE.resume(), None)
        wait(lambda frames=frames: rig.cam._pipeline.acquiring and rig.cam._pipeline.rows >= frames)
        rig.RE.request_pause()
        running.end()
    running = PlanThread(lambda _: rig.RE.resume(), None)
    wait(lambda: rig.RE.busy and rig.x.flyable_logic.flying)
    rig.RE.request_pause()
    running.end()
    result = rig.RE.resume()
    assert result.exit_status == "success"
    assert frames_told(rig) == 60 == len(result.plan_result)
    at = rows(rig, "stage-x_at_cam")
    even(at, times=4)
    with h5py.File(next(rig.folder.glob("*.h5"))) as file:
        assert len(file[DATA]) == 60


@pytest.mark.parametrize("how", ["abort", "stop", "halt"])
def test_a_paused_flight_that_is_given_up_tells_what_it_took_in_flight_and_goes_dark(rig, how):
    paused(rig, scan(rig, num=400, stop=20.0, light=rig.lamp), lambda: flying(rig) and rig.cam._pipeline.rows > 12)
    taken = rig.cam._pipeline.rows
    assert call_in_bluesky_event_loop(rig.lamp.shutter.get_value())
    with h5py.File(next(rig.folder.glob("*.h5"))) as file:
        assert len(file[DATA]) == taken
    shots = rig.cam.driver.acquired
    getattr(rig.RE, how)()
    assert rig.cam.driver.acquired == shots, "it has not taken any more"
    assert 3 < taken == frames_told(rig) < 400
    assert stop_document(rig)["exit_status"] == ("success" if how == "stop" else "abort")
    if how != "halt":  # that runs no plan any more
        at = rows(rig, "stage-x_at_cam")
        assert len(at["stage-x"]) == taken
        even(at)
        assert not call_in_bluesky_event_loop(rig.lamp.shutter.get_value())


def test_several_detectors_keep_what_each_took(rig):
    plan = fly_scan(rig.cam, rig.adc, axis=rig.x, start=0.0, stop=4.0, num=60, rate=RATE, exposure=0.02)
    paused(rig, plan, lambda: flying(rig) and rig.adc._pipeline.rows > 3)
    taken = rig.cam._pipeline.rows, rig.adc._pipeline.rows
    assert rig.RE.resume().exit_status == "success"
    for detector, before in zip((rig.cam, rig.adc), taken, strict=True):
        at = rows(rig, f"stage-x_at_{detector.name}")
        assert len(at["stage-x"]) == 60
        even(at)
        assert np.diff(at[f"{detector.name}-time"])[before - 1] > 0.1, "the axis went back meanwhile"
    told = next(doc["num_events"] for name, doc in rig.documents if name == "stop")
    assert told["primary"] == told["adc"] == 60


def test_a_deferred_pause_leaves_the_flight_whole(rig):
    running = PlanThread(rig.RE, scan(rig))
    wait(lambda: flying(rig))
    rig.RE.request_pause(defer=True)
    running.end()
    assert rig.RE.state == "paused"
    times = rig.cam.exposure_times.tolist()
    assert len(times) == NUM
    assert rig.RE.resume().exit_status == "success"
    at = rows(rig, "stage-x_at_cam")
    assert at["cam-time"].tolist() == times
    even(at, times=0)
    assert frames_told(rig) == NUM


@pytest.mark.parametrize("how", ["abort", "stop_all"])
def test_what_was_taken_of_a_flight_that_ends_early_is_told(rig, how):
    running = PlanThread(rig.RE, scan(rig, num=400, stop=20.0))
    wait(lambda: flying(rig))
    if how == "abort":
        rig.RE.abort("enough")
    else:
        stop_all("smoke")
    running.join(10)
    assert not running.is_alive()
    assert stop_document(rig)["exit_status"] in {"abort", "fail"}
    (path,) = rig.folder.glob("*.h5")
    with h5py.File(path) as file:
        taken = len(file[DATA])
    assert 3 < taken == frames_told(rig) < 400
    at = rows(rig, "stage-x_at_cam")
    assert len(at[rig.x.name]) == taken
    assert at["stage-x-measured"][:-2].all()
    wait(lambda: rig.port.call(lambda now: rig.port.instrument.axes[1].done_at() <= now))
    if how == "stop_all":
        reset("it was steam", force=True)
    assert rig.RE(scan(rig)).exit_status == "success"


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0.0},
        {"rate": math.nan},
        {"exposure": -1.0},
        {"start": math.nan},
        {"stop": math.inf},
        {"num": 1},
        {"start": 2.0},
    ],
    ids=str,
)
def test_what_is_no_scan_is_named(rig, wrong):
    before = rig.port.log.bytes().count(b"MO\r")
    with pytest.raises(LimitError, match="fly scan: .* → give "):
        rig.RE(scan(rig, **wrong))
    assert not any(name == "start" for name, _ in rig.documents)
    assert rig.port.log.bytes().count(b"MO\r") == before


def test_a_rate_beyond_what_the_camera_can_is_refused_before_anything_moves(rig):
    before = rig.port.log.bytes().count(b"PA")
    rig.RE(bps.mv(rig.cam.frame_rate, 5.0))
    try:
        with pytest.raises(LimitError, match="cam: 40 frames a second cannot be reached: at most 5, set by its"):
            rig.RE(scan(rig))
    finally:
        rig.RE(bps.mv(rig.cam.frame_rate, 0.0))
    assert rig.port.log.bytes().count(b"PA") == before
    assert not any(name == "start" for name, _ in rig.documents)


def test_what_cannot_be_is_refused_before_anything_moves(rig):
    before = rig.port.log.bytes().count(b"PA")
    with pytest.raises(RdaqError, match="nothing to look"):
        rig.RE(fly_scan(axis=rig.x))
    with pytest.raises(LimitError, match=r"exposure of 0.5 s at 40 a second → give less than 0.025 s"):
        rig.RE(scan(rig, exposure=0.5))
    assert rig.port.log.bytes().count(b"PA") == before
    with pytest.raises((LimitError, FailedStatus), match="outside the software limits"):
        rig.RE(scan(rig, stop=1e4))
    assert not any(name == "start" for name, _ in rig.documents)
    assert rig.RE(bps.null()).exit_status == "success"
