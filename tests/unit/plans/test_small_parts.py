"""What the plans share: the events of a run, metrics by name, limits, the rhythm of a series."""

from __future__ import annotations

import math

import pytest
from bluesky import RunEngine, RunEngineInterrupted
from bluesky import plan_stubs as bps
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import soft_signal_rw

from rdaq_ophyd.devices.calibration import Calibration
from rdaq_ophyd.errors import LimitError, RdaqError, UnknownName
from rdaq_ophyd.plans import set_calibration, time_series
from rdaq_ophyd.plans._calibration import keep
from rdaq_ophyd.plans._events import Events
from rdaq_ophyd.plans._require import metric_of, require_range


def event(number, value, descriptor="d"):
    return "event", {"descriptor": descriptor, "seq_num": number, "data": {"x": value}}


def test_a_replayed_event_replaces_the_one_that_it_repeats():
    events = Events()
    documents = [("descriptor", {"name": "primary", "uid": "d"}), ("descriptor", {"name": "baseline", "uid": "b"})]
    documents += [event(1, 1.0), event(2, 2.0), event(1, 9.0, "b"), event(2, 2.5), event(3, 3.0)]
    for name, doc in documents:
        events(name, doc)
    events("event_page", {"descriptor": "d", "seq_num": [4, 5], "data": {"x": [4.0, 5.0]}})
    assert list(events.column("x")) == [1.0, 2.5, 3.0, 4.0, 5.0]
    assert len(events) == 5


def test_metrics_by_name():
    class Camera:
        name = "cam"
        hints = {"fields": ["cam-mean", "cam-max"]}  # noqa: RUF012  as devices have it

    class Plain:
        name = "pm"

    assert metric_of(Camera()) == "cam-mean"
    assert metric_of(Camera(), "max") == metric_of(Camera(), "cam-max") == "cam-max"
    assert metric_of(Plain()) == "pm"
    with pytest.raises(UnknownName, match="did you mean cam-mean"):
        metric_of(Camera(), "cam-mena")


@given(start=st.floats(), stop=st.floats(), num=st.integers(-5, 20))
def test_a_range_is_two_numbers_in_order_with_enough_points(start, stop, num):
    good = math.isfinite(start) and math.isfinite(stop) and start < stop and num >= 5
    if good:
        require_range("x", start, stop, num, 5)
    else:
        with pytest.raises(LimitError, match="x"):
            require_range("x", start, stop, num, 5)


class Slow:
    """Takes a while to be read, once."""

    name, parent = "slow", None

    def __init__(self, seconds):
        self.seconds, self.reads = seconds, 0

    def describe(self):
        return {"slow": {"source": "test", "dtype": "number", "shape": []}}

    async def read(self):
        import asyncio

        self.reads += 1
        if self.reads == 2:
            await asyncio.sleep(self.seconds)
        return {"slow": {"value": self.reads, "timestamp": 0.0}}


def test_a_reading_that_takes_too_long_skips_beats_and_adds_no_drift(engine: RunEngine):
    found = engine(time_series(Slow(0.35), num=4, period=0.1)).plan_result
    assert found.points == 4
    assert found.skipped >= 2


def test_as_fast_as_it_goes(engine: RunEngine):
    found = engine(time_series(Slow(0.0), num=3, period=0.0)).plan_result
    assert (found.points, found.skipped, found.latest) == (3, 0, 0.0)


@pytest.mark.parametrize("bad", [{"num": 0}, {"period": -1}, {"period": float("nan")}, {"period": 1e9}])
def test_series_that_cannot_be(engine: RunEngine, bad):
    with pytest.raises(LimitError):
        engine(time_series(soft_signal_rw(float), **bad))
    with pytest.raises(RdaqError, match="of nothing"):
        engine(time_series())


@pytest.fixture
def calibration(tmp_path):
    made = Calibration(name="calibration")
    made.add("zero", 1.0, units="deg")
    made.keep_in(tmp_path / "calibrations-lab.json", rig="lab", by="ada")
    return made


def test_a_calibration_is_set_once_with_its_reason_also_across_a_pause(engine: RunEngine, calibration):
    def paused():
        yield from bps.checkpoint()
        yield from set_calibration(calibration.zero, 12.5, " new polariser ")
        yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        engine(paused())
    assert engine.resume().exit_status == "success"
    (entry,) = calibration.history()
    assert (entry.value, entry.by, entry.why) == (12.5, "ada", "new polariser")


def test_what_a_plan_found_is_kept_where_it_can_be(engine: RunEngine, calibration):
    plain = soft_signal_rw(float, name="plain")
    engine(keep(calibration.zero, 2.0, "found"))
    engine(keep(plain, 3.0, "found"))
    assert calibration.history()[-1].why == "found"
    assert engine(bps.rd(plain)).plan_result == 3.0


def test_calibrations_that_cannot_be_set(calibration):
    with pytest.raises(RdaqError, match="plain is no calibration of a rig"):
        set_calibration(soft_signal_rw(float, name="plain"), 1.0, "why")
    with pytest.raises(LimitError, match="calibration-zero = nan"):
        set_calibration(calibration.zero, float("nan"), "why")
    with pytest.raises(RdaqError, match="no reason"):
        set_calibration(calibration.zero, 1.0, "  ")
    with pytest.raises(UnknownName, match="plain"):
        calibration.because(soft_signal_rw(float, name="plain"), "why")
    assert calibration.history() == []


def test_what_has_an_alarm_or_is_no_number_is_left_out_and_counted(caplog):
    events = Events()
    events("descriptor", {"name": "primary", "uid": "d"})
    values = [0.0, 1.0, math.nan, 3.0, 4.0, 5.0]
    for number, value in enumerate(values):
        data = {"x": float(number), "p": value, "p_severity": 2 if number == 4 else number % 2}
        events("event", {"descriptor": "d", "seq_num": number + 1, "data": data})
    x, p = events.trusted(["x", "p"], 4)
    assert list(x) == list(p) == [0.0, 1.0, 3.0, 5.0]
    assert events.left_out == 2
    assert "2 of 6 points are saturated, over range or invalid: left out" in caplog.text
    assert events.trusted(["x", "p"], 5) is None
    assert "too few are left for a fit" in caplog.text
    assert [list(column) for column in events.trusted(["x"], 1)] == [[0, 1, 2, 3, 4, 5]]
    assert events.trusted(["x", "p"], 1, slice(2, 5)) is None  # one of three
    assert Events().trusted(["x"], 5) is None
