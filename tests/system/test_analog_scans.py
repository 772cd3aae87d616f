"""An analog input under the RunEngine: N events and N blocks across pauses and aborts; the plan `record`."""

from __future__ import annotations

import threading
from collections import Counter as Count
from pathlib import Path

import h5py
import numpy as np
import pytest
from blocks import numbers_in
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices, soft_signal_rw
from ophyd_async.sim import SimMotor

from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.devices.sim_analog import Counter, SimAnalogInput, SimInput
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.plans import fly_scan, record
from rdaq_ophyd.plans._record import Recording
from rdaq_ophyd.samples import PolledSamples, column_path, samples_path, statistic_path
from rdaq_ophyd.sim import SimEsp300, serve_pty


@pytest.fixture
def adc(engine, tmp_path):
    inputs = {"number": SimInput(Counter(), noise=0.0), "wave": SimInput()}
    with init_devices():
        adc = SimAnalogInput(StaticPathProvider(UUIDFilenameProvider(), tmp_path), inputs=inputs, samples=50)
    adc.driver.memory = 60.0  # a busy machine must not lose samples here
    yield adc
    if engine.state != "idle":
        engine.abort()
    call_in_bluesky_event_loop(adc.close())


@pytest.fixture
def docs(engine):
    found = []
    token = engine.subscribe(lambda name, document: found.append((name, document)))
    yield found
    engine.unsubscribe(token)


def flight(adc, number, collecting=True):
    @bpp.stage_decorator([adc])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(adc, TriggerInfo(number_of_events=number), wait=True)
        yield from bps.declare_stream(adc, name="primary", collect=True)
        yield from bps.kickoff(adc, wait=True)
        if collecting:
            yield from bps.collect_while_completing([adc], [adc], flush_period=0.05, stream_name="primary")
        else:
            yield from bps.complete(adc, wait=True)
            yield from bps.collect(adc, name="primary")

    return plan()


def pause_when(engine, condition):
    """Pause hard, from another thread, as soon as ``condition()`` holds."""

    def work():
        tick = threading.Event()
        for _ in range(4000):
            if condition():
                engine.request_pause(defer=False)
                return
            tick.wait(0.005)

    thread = threading.Thread(target=work, name="pauser")
    thread.start()
    return thread


def run_paused(engine, plan, condition):
    pauser = pause_when(engine, condition)
    try:
        with pytest.raises(RunEngineInterrupted):
            engine(plan)
    finally:
        pauser.join(30)
    assert engine.state == "paused"


def file_of(docs):
    (uri,) = {d["uri"] for name, d in docs if name == "stream_resource"}
    return Path(uri.removeprefix("file://localhost"))


def covered(docs, key):
    """Row numbers and event numbers that the stream datums of one data key tell of, in order."""
    resource = next(d["uid"] for name, d in docs if name == "stream_resource" and d["data_key"] == key)
    rows, events = [], []
    for name, document in docs:
        if name == "stream_datum" and document["stream_resource"] == resource:
            rows += range(document["indices"]["start"], document["indices"]["stop"])
            events += range(document["seq_nums"]["start"], document["seq_nums"]["stop"])
    return rows, events


def check(docs, number, status="complete"):
    """N events, N rows, N blocks, each the other's, and no sample lost, doubled or displaced in any of them."""
    for key in ("adc-number", "adc-wave"):
        rows, events = covered(docs, key)
        assert rows == list(range(number))
        assert events == list(range(1, number + 1))
    with h5py.File(file_of(docs)) as file:
        numbers, arms = numbers_in(file), file[column_path("arm")][:]
        assert numbers.shape == (number, 50)
        for arm in set(arms):
            kept = numbers[arms == arm].ravel()
            assert np.array_equal(kept, np.arange(len(kept)) % 8192)
        assert file["/entry/exit_status"][()] == status.encode()
        assert file[statistic_path("wave", "mean")].shape == (number,)


def test_a_table_of_means_in_a_step_scan(engine, adc, docs, capsys):
    table = BestEffortCallback()
    table.disable_plots()
    token = engine.subscribe(table)
    with init_devices():
        x = SimMotor(instant=True)
    engine(bp.scan([adc], x, 0, 1, 5))
    engine.unsubscribe(token)
    text = capsys.readouterr().out
    assert "adc-wave-mean" in text
    assert "adc-wave-std" not in text
    check(docs, 5)
    events = [d["data"] for name, d in docs if name == "event"]
    with h5py.File(file_of(docs)) as file:
        assert [e["adc-wave-max"] for e in events] == list(file[statistic_path("wave", "max")])
        assert [e["adc-start"] for e in events] == list(file[column_path("timestamps")])


def test_a_flight_under_a_table_that_has_nothing_to_show(engine, adc, docs, capsys):
    table = BestEffortCallback()
    table.disable_plots()
    token = engine.subscribe(table)
    engine(flight(adc, 5))
    engine.unsubscribe(token)
    check(docs, 5)
    assert next(d for name, d in docs if name == "descriptor")["hints"]["adc"] == {"fields": []}


def test_hard_pause_within_a_block_of_a_step_scan(engine, adc, docs):
    engine(bps.mv(adc.rate, 100.0))  # half a second a block

    def second_block():
        return Count(name for name, _ in docs)["event"] == 1 and adc._pipeline.acquiring

    run_paused(engine, bp.count([adc], 3), second_block)
    assert not adc._pipeline.acquiring
    engine.resume()
    assert [d["seq_num"] for name, d in docs if name == "event"] == [1, 2, 3]
    check(docs, 3)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("collecting", [True, False])
def test_hard_pauses_in_a_flight(engine, adc, docs, collecting, times):
    begun = adc._pipeline.rows

    def some_more():
        return adc._pipeline.acquiring and adc._pipeline.rows >= begun + 5

    run_paused(engine, flight(adc, 240, collecting), some_more)
    for _ in range(times - 1):
        begun = adc._pipeline.rows
        pauser = pause_when(engine, some_more)
        with pytest.raises(RunEngineInterrupted):
            engine.resume()
        pauser.join(30)
    engine.resume()
    assert next(d["exit_status"] for name, d in docs if name == "stop") == "success"
    check(docs, 240)


@pytest.mark.parametrize("message", ["trigger", "wait", "create", "read", "save", "checkpoint"])
def test_a_pause_at_any_message_of_a_step_scan(engine, adc, docs, message):
    """Each message of the second point in turn is the one at which the pause comes."""
    seen = Count()

    def hook(msg):
        seen[msg.command] += 1
        if seen[message] == 2 and msg.command == message:
            engine.loop.create_task(engine._request_pause_coro(False))

    engine.msg_hook = hook
    try:
        with pytest.raises(RunEngineInterrupted):
            engine(bp.count([adc], 4))
        engine.resume()
    finally:
        engine.msg_hook = None
    events = [d["seq_num"] for name, d in docs if name == "event"]
    rows, numbers = covered(docs, "adc-wave")
    assert numbers == events, "an event without its block, or a block without its event"
    assert sorted(set(events)) == [1, 2, 3, 4]
    assert rows == list(range(len(events)))
    with h5py.File(file_of(docs)) as file:
        assert file[samples_path("wave")].shape[0] == len(events)


def test_abort_of_a_paused_flight_leaves_what_was_collected(engine, adc, docs):
    run_paused(engine, flight(adc, 10_000), lambda: Count(n for n, _ in docs)["stream_datum"] >= 8)
    engine.abort()
    rows, _ = covered(docs, "adc-number")
    check(docs, len(rows), "aborted")


def test_record(engine, adc, docs):
    result = engine(record(adc, 0.201))
    assert result.plan_result == Recording(blocks=41, samples=2050, seconds=0.205, lost=0)
    check(docs, 41)
    start = next(d for name, d in docs if name == "start")
    assert (start["plan_name"], start["detectors"], start["num_points"]) == ("record", ["adc"], 41)


def test_record_with_edges(engine, adc, docs):
    done = threading.Event()

    def chop():
        while not done.wait(0.02):
            adc.driver.edge()

    thread = threading.Thread(target=chop)
    thread.start()
    try:
        engine(record(adc, 0.02, edges=True))
    finally:
        done.set()
        thread.join()
    check(docs, 4)
    with h5py.File(file_of(docs)) as file:
        # Late by what a busy machine took to fetch them, but never out of order.
        assert np.all(np.diff(file[column_path("timestamps")]) >= 0)


def test_record_refuses_in_words(engine, adc):
    with init_devices():
        x = SimMotor(instant=True)
    with pytest.raises(RdaqError, match="x is not block producer"):
        engine(record(x, 1.0))
    for seconds in (0.0, -1.0, float("nan"), 1e6):
        with pytest.raises(LimitError, match="0, to 86400 s"):
            engine(record(adc, seconds))
    with pytest.raises(LimitError, match="give adc-samples at least 864"):
        engine(record(adc, 86400))


def test_a_camera_and_an_analog_input_in_one_stream(engine, adc, docs, tmp_path):
    with init_devices():
        cam = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), width=16, height=8)
    both = [cam, adc]

    @bpp.stage_decorator(both)
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(cam, TriggerInfo(number_of_events=20, livetime=0.01), group="ready")
        yield from bps.prepare(adc, TriggerInfo(number_of_events=20, livetime=0.004), group="ready")
        yield from bps.wait("ready")
        yield from bps.declare_stream(*both, name="primary", collect=True)
        yield from bps.kickoff_all(*both, wait=True)
        yield from bps.collect_while_completing(both, both, flush_period=0.05, stream_name="primary")

    engine(plan())
    call_in_bluesky_event_loop(cam.close())
    for key in ("cam", "adc-wave", "adc-start"):
        rows, events = covered(docs, key)
        assert rows == list(range(20))
        assert events == list(range(1, 21))


def test_record_a_polled_signal(engine, docs, tmp_path):
    with init_devices():
        gauge = soft_signal_rw(float, 4.5, units="mbar")
        vacuum = PolledSamples({"pressure": gauge}, StaticPathProvider(UUIDFilenameProvider(), tmp_path), rate=100.0)
    engine(bps.mv(vacuum.samples, 10))
    result = engine(record(vacuum, 0.3))
    call_in_bluesky_event_loop(vacuum.close())
    assert result.plan_result.blocks == 3
    assert covered(docs, "vacuum-pressure")[1] == [1, 2, 3]
    with h5py.File(file_of(docs)) as file:
        pressure = file[samples_path("pressure")][:]
        assert pressure.shape == (3, 10)
        assert set(pressure[~np.isnan(pressure)]) == {4.5}
        assert np.isnan(pressure).sum() == result.plan_result.lost


def test_where_an_axis_was_at_each_block_and_each_frame(engine, adc, docs, tmp_path, capsys, caplog):
    table = BestEffortCallback()
    table.disable_plots()
    token = engine.subscribe(table)
    paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with serve_pty(SimEsp300(speed=5.0), lift_baud=True) as port:
        with init_devices():
            stage = Esp300(port.url, {1: "x"}, "stage")
            cam = SyntheticCamera(paths, width=16, height=8)
        found = engine(fly_scan(adc, cam, axis=stage.x, start=0.0, stop=1.0, num=20, rate=40.0, exposure=0.01))
        stage.close()
        call_in_bluesky_event_loop(cam.close())
        engine.unsubscribe(token)
    assert "Traceback" not in "".join(capsys.readouterr()) + caplog.text, "the table finds what it looks for"
    assert len(found.plan_result) == 20
    assert np.all(np.diff(found.plan_result) > 0)
    assert covered(docs, "adc-wave") == (list(range(20)), list(range(1, 21)))
    streams = {d["uid"]: d["name"] for name, d in docs if name == "descriptor"}
    assert {"primary", "cam", "flight", "stage-x_at_adc", "stage-x_at_cam"} == set(streams.values())
    (path,) = (d["uri"] for name, d in docs if name == "stream_resource" and d["data_key"] == "adc-number")
    with h5py.File(path.removeprefix("file://localhost")) as file:
        assert list(file[column_path("sample_index")]) == list(range(0, 5000, 250))
        assert numbers_in(file).shape == (20, 100)
