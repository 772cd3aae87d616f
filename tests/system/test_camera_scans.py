"""Cameras under the RunEngine: N events and N frames across pauses, aborts and suspensions."""

from __future__ import annotations

import threading

import h5py
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices
from ophyd_async.sim import SimMotor
from streamscans import StreamScans, events_of, file_of, flight, table_of

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import DATA, column_path, sequence_of


@pytest.fixture
def cam(engine, tmp_path):
    with init_devices():
        cam = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), width=16, height=8)
    engine(bps.mv(cam.exposure, 0.005))
    yield cam
    if engine.state != "idle":
        engine.abort()
    call_in_bluesky_event_loop(cam.close())


class TestCamera(StreamScans):
    """The same as of every detector of rows."""

    keys = ("cam",)
    livetime = 0.008

    @pytest.fixture
    def device(self, cam):
        return cam

    def slow(self, device):
        yield from bps.mv(device.exposure, 0.2)

    def check_rows(self, file, number):
        assert file[DATA].shape[0] == number
        numbers = [sequence_of(frame) for frame in file[DATA]]
        assert numbers == sorted(set(numbers)), "a frame twice, or out of order"
        assert file[column_path("mean")].shape == (number,)


def test_count_prints_mean_and_max(engine, cam, docs, capsys):
    table_of(engine, bp.count([cam], 5))
    table_of(engine, flight(cam, 5))
    text = capsys.readouterr().out
    assert "cam-mean" in text
    assert "cam-max" in text
    assert text.count("\n|         ") >= 5


def test_step_scan_events_carry_the_scalars_of_their_frame(engine, cam, docs):
    with init_devices():
        x = SimMotor(instant=True)
    engine(bp.scan([cam], x, 0, 1, 6))
    TestCamera().check(docs, 6)
    events = [d["data"] for name, d in docs if name == "event"]
    with h5py.File(file_of(docs)) as file:
        for event, frame in zip(events, file[DATA], strict=True):
            assert event["cam-mean"] == frame.mean()
            assert event["cam-max"] == frame.max()
    descriptor = next(d for name, d in docs if name == "descriptor")
    assert descriptor["hints"]["cam"] == {"fields": ["cam-mean", "cam-max"]}
    assert descriptor["configuration"]["cam"]["data"]["cam-exposure"] == 0.005


def test_abort_within_an_exposure_leaves_a_closed_file(engine, cam, docs):
    engine(bps.mv(cam.exposure, 0.05))

    def work():
        tick = threading.Event()
        for _ in range(4000):
            if events_of(docs) == 2 and cam._pipeline.acquiring:
                engine.abort("enough")
                return
            tick.wait(0.002)

    thread = threading.Thread(target=work)
    thread.start()
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([cam], 100))
    thread.join(30)
    assert next(d["exit_status"] for name, d in docs if name == "stop") == "abort"
    assert not cam._pipeline.acquiring
    count = events_of(docs)
    with h5py.File(file_of(docs)) as file:
        assert count <= file[DATA].shape[0] <= count + 1
        assert file["/entry/end_time"][()].startswith(b"20")


def test_two_runs_two_files(engine, cam, docs, tmp_path):
    engine(bp.count([cam], 1))
    engine(bp.count([cam], 2))
    shapes = set()
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            shapes.add(file[DATA].shape[0])
    assert shapes == {1, 2}


def test_a_prepared_stage_without_frames_leaves_no_file(engine, cam, tmp_path):
    @bpp.stage_decorator([cam])
    def plan():
        yield from bps.prepare(cam, TriggerInfo(), wait=True)

    engine(plan())
    assert not list(tmp_path.glob("*.h5"))
