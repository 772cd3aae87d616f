"""Cameras under the RunEngine: N events and N frames across pauses, aborts and suspensions."""

from __future__ import annotations

import threading
from collections import Counter

import h5py
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import RunEngineInterrupted
from camerascans import covered, file_of, flight, pause_when, run_paused
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices
from ophyd_async.sim import SimMotor

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


@pytest.fixture
def docs(engine):
    found = []
    token = engine.subscribe(lambda name, document: found.append((name, document)))
    yield found
    engine.unsubscribe(token)


def check(docs, number, status="complete"):
    """N events, N rows, N frames, each the other's."""
    rows, events = covered(docs)
    assert rows == list(range(number))
    assert events == list(range(1, number + 1))
    with h5py.File(file_of(docs)) as file:
        assert file[DATA].shape[0] == number
        assert file["/entry/exit_status"][()] == status.encode()
        numbers = [sequence_of(frame) for frame in file[DATA]]
        assert numbers == sorted(set(numbers)), "a frame twice, or out of order"
        assert file[column_path("mean")].shape == (number,)


def test_count_prints_mean_and_max(engine, cam, docs, capsys):
    table = BestEffortCallback()
    table.disable_plots()
    token = engine.subscribe(table)
    engine(bp.count([cam], 5))
    engine(flight(cam, 5))
    engine.unsubscribe(token)
    text = capsys.readouterr().out
    assert "cam-mean" in text
    assert "cam-max" in text
    assert text.count("\n|         ") >= 5


def test_step_scan_events_carry_the_scalars_of_their_frame(engine, cam, docs):
    with init_devices():
        x = SimMotor(instant=True)
    engine(bp.scan([cam], x, 0, 1, 6))
    check(docs, 6)
    events = [d["data"] for name, d in docs if name == "event"]
    with h5py.File(file_of(docs)) as file:
        for event, frame in zip(events, file[DATA], strict=True):
            assert event["cam-mean"] == frame.mean()
            assert event["cam-max"] == frame.max()
    descriptor = next(d for name, d in docs if name == "descriptor")
    assert descriptor["hints"]["cam"] == {"fields": ["cam-mean", "cam-max"]}
    assert descriptor["configuration"]["cam"]["data"]["cam-exposure"] == 0.005


def test_hard_pause_within_an_exposure_of_a_step_scan(engine, cam, docs):
    engine(bps.mv(cam.exposure, 0.2))

    def second_exposure():
        return Counter(name for name, _ in docs)["event"] == 1 and cam._pipeline.acquiring

    run_paused(engine, bp.count([cam], 4), second_exposure)
    assert not cam._pipeline.acquiring
    engine.resume()
    assert [d["seq_num"] for name, d in docs if name == "event"] == [1, 2, 3, 4]
    check(docs, 4)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("collecting", [True, False])
def test_hard_pauses_in_a_flight(engine, cam, docs, collecting, times):
    begun = cam._pipeline.rows

    def some_more():
        return cam._pipeline.acquiring and cam._pipeline.rows >= begun + 5

    plan = flight(cam, 50, 0.008, collecting)
    run_paused(engine, plan, some_more)
    for _ in range(times - 1):
        begun = cam._pipeline.rows
        pauser = pause_when(engine, some_more)
        with pytest.raises(RunEngineInterrupted):
            engine.resume()
        pauser.join(30)
    engine.resume()
    assert next(d["exit_status"] for name, d in docs if name == "stop") == "success"
    check(docs, 50)


@pytest.mark.parametrize("message", ["trigger", "wait", "create", "read", "save", "checkpoint"])
def test_a_pause_at_any_message_of_a_step_scan(engine, cam, docs, message):
    """Each message of the second point in turn is the one at which the pause comes."""
    seen = Counter()

    def hook(msg):
        seen[msg.command] += 1
        if seen[message] == 2 and msg.command == message:
            engine.loop.create_task(engine._request_pause_coro(False))

    engine.msg_hook = hook
    try:
        with pytest.raises(RunEngineInterrupted):
            engine(bp.count([cam], 4))
        engine.resume()
    finally:
        engine.msg_hook = None
    events = [d["seq_num"] for name, d in docs if name == "event"]
    rows, numbers = covered(docs)
    assert numbers == events, "an event without its frame, or a frame without its event"
    assert sorted(set(events)) == [1, 2, 3, 4]
    assert rows == list(range(len(events)))
    with h5py.File(file_of(docs)) as file:
        assert file[DATA].shape[0] == len(events)


def test_abort_within_an_exposure_leaves_a_closed_file(engine, cam, docs):
    engine(bps.mv(cam.exposure, 0.05))

    def second_exposure():
        return Counter(name for name, _ in docs)["event"] == 2 and cam._pipeline.acquiring

    def work():
        tick = threading.Event()
        for _ in range(4000):
            if second_exposure():
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
    count = Counter(name for name, _ in docs)["event"]
    with h5py.File(file_of(docs)) as file:
        assert count <= file[DATA].shape[0] <= count + 1
        assert file["/entry/end_time"][()].startswith(b"20")


def test_abort_of_a_paused_flight_leaves_what_was_collected(engine, cam, docs):
    run_paused(engine, flight(cam, 1000, 0.005), lambda: Counter(n for n, _ in docs)["stream_datum"] >= 8)
    engine.abort()
    rows, _ = covered(docs)
    with h5py.File(file_of(docs)) as file:
        assert file[DATA].shape[0] == len(rows)
        assert file["/entry/exit_status"][()] == b"aborted"


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
