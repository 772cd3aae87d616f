"""An analog input under the RunEngine: N events and N blocks across pauses and aborts; the plan `record`."""

from __future__ import annotations

import threading

import h5py
import numpy as np
import pytest
from blocks import numbers_in
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices, soft_signal_rw
from ophyd_async.sim import SimMotor
from streamscans import StreamScans, covered, file_of, flight, table_of

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


class TestAnalogInput(StreamScans):
    """The same as of every detector of rows; and no sample lost, doubled or displaced."""

    keys = ("adc-number", "adc-wave")
    number = 240

    @pytest.fixture
    def device(self, adc):
        return adc

    def slow(self, device):
        yield from bps.mv(device.rate, 100.0)  # half a second a block

    def check_rows(self, file, number):
        numbers, arms = numbers_in(file), file[column_path("arm")][:]
        assert numbers.shape == (number, 50)
        for arm in set(arms):
            kept = numbers[arms == arm].ravel()
            assert np.array_equal(kept, np.arange(len(kept)) % 8192)
        assert file[statistic_path("wave", "mean")].shape == (number,)


check = TestAnalogInput().check


def test_a_table_of_means_in_a_step_scan(engine, adc, docs, capsys):
    with init_devices():
        x = SimMotor(instant=True)
    table_of(engine, bp.scan([adc], x, 0, 1, 5))
    text = capsys.readouterr().out
    assert "adc-wave-mean" in text
    assert "adc-wave-std" not in text
    check(docs, 5)
    events = [d["data"] for name, d in docs if name == "event"]
    with h5py.File(file_of(docs)) as file:
        assert [e["adc-wave-max"] for e in events] == list(file[statistic_path("wave", "max")])
        assert [e["adc-start"] for e in events] == list(file[column_path("timestamps")])


def test_a_flight_under_a_table_that_has_nothing_to_show(engine, adc, docs, capsys):
    table_of(engine, flight(adc, 5))
    check(docs, 5)
    assert next(d for name, d in docs if name == "descriptor")["hints"]["adc"] == {"fields": []}


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
    paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with serve_pty(SimEsp300(speed=5.0), lift_baud=True) as port:
        with init_devices():
            stage = Esp300(port.url, {1: "x"}, "stage")
            cam = SyntheticCamera(paths, width=16, height=8)
        plan = fly_scan(adc, cam, axis=stage.x, start=0.0, stop=1.0, num=20, rate=40.0, exposure=0.01)
        found = table_of(engine, plan)
        stage.close()
        call_in_bluesky_event_loop(cam.close())
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
