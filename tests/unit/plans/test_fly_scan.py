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
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider
from planthread import PlanThread, wait

from rdaq_ophyd.capabilities import TimedDetector, TrackedAxis
from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.frames import DATA
from rdaq_ophyd.plans import fly_scan
from rdaq_ophyd.sim import SimEsp300, serve_pty
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop
from rdaq_ophyd.stop import reset, stop_all

NUM, RATE = 20, 40.0


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
            for device in devices.values():
                await device.connect()

        call_in_bluesky_event_loop(make(), timeout=20)
        with RE.plan_end:
            yield SimpleNamespace(RE=RE, cam=devices["cam"], x=devices["stage"].x, port=port, folder=folder)
        call_in_bluesky_event_loop(devices["cam"].close(), timeout=20)
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


def test_a_pause_flies_again_and_nothing_of_the_first_flight_is_told(rig):
    running = PlanThread(rig.RE, scan(rig))
    wait(lambda: flying(rig))
    rig.RE.request_pause()
    running.end()
    assert isinstance(running.error, RunEngineInterrupted)
    assert not rig.cam._pipeline.acquiring
    result = rig.RE.resume()
    assert result.exit_status == "success"
    assert frames_told(rig) == NUM == len(result.plan_result)
    (path,) = rig.folder.glob("*.h5")
    with h5py.File(path) as file:
        assert len(file[DATA]) == NUM


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
    assert len(rows(rig, "stage-x_at_cam")[rig.x.name]) == taken
    wait(lambda: rig.port.call(lambda now: rig.port.instrument.axes[1].done_at() <= now))
    if how == "stop_all":
        reset("it was steam", force=True)
    assert rig.RE(scan(rig)).exit_status == "success"


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0.0}, {"rate": math.nan}, {"exposure": -1.0}, {"start": math.nan}, {"stop": math.inf}, {"num": 1}],
    ids=str,
)
def test_what_is_no_scan_is_named(rig, wrong):
    with pytest.raises(LimitError, match="fly scan: .* → give "):
        rig.RE(scan(rig, **wrong))
    assert not any(name == "start" for name, _ in rig.documents)


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
