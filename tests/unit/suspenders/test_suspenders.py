"""bluesky's suspenders on ophyd-async signals: they suspend, go on, and never against a stop or an abort."""

import asyncio
import threading

import bluesky.plan_stubs as bps
import pytest
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.suspenders import SuspendBoolHigh, SuspendBoolLow, SuspendCeil, SuspendFloor, SuspendWhenOutsideBand
from ophyd_async.core import SignalR, SoftSignalBackend, soft_signal_rw
from planthread import BOUND, PlanThread, wait

from rdaq_ophyd.errors import LimitError, RdaqError, ResumeRefused
from rdaq_ophyd.stop import latch, pause, stop_all
from rdaq_ophyd.suspenders import Watched, link_lost, on_signal, power_below, temperature_outside


class Value:
    """A signal whose readings a test makes; from any thread."""

    def __init__(self, name, datatype, initial):
        self.backend = SoftSignalBackend(datatype, initial)
        self.signal = SignalR(self.backend, name=name)

    def __call__(self, value, severity=0):
        async def give():
            self.backend.set_value(value)
            self.backend.reading["alarm_severity"] = severity
            if self.backend.callback:
                self.backend.callback(self.backend.reading)

        call_in_bluesky_event_loop(give(), timeout=BOUND)


def make(kind, datatype, initial, *args, **kwargs):
    async def connected():
        value = Value("power", datatype, initial)
        await value.signal.connect()
        return value

    value = call_in_bluesky_event_loop(connected(), timeout=BOUND)
    return value, on_signal(kind, value.signal, *args, **kwargs) if kind else value


def plan(said, go):
    """Says when it is under way; ends when it is told to, after a checkpoint."""
    yield from bps.checkpoint()
    said.append("begun")
    yield from bps.wait_for([lambda: asyncio.to_thread(go.wait, BOUND)])
    yield from bps.checkpoint()
    said.append("done")


KINDS = [
    (SuspendFloor, float, (1.0,), 2.0, 0.5),
    (SuspendCeil, float, (1.0,), 0.5, 2.0),
    (SuspendWhenOutsideBand, float, (1.0, 2.0), 1.5, 3.0),
    (SuspendBoolHigh, bool, (), False, True),
    (SuspendBoolLow, bool, (), True, False),
]


@pytest.mark.parametrize(("kind", "datatype", "args", "good", "bad"), KINDS)
def test_each_kind_suspends_and_goes_on(RE, installed, kind, datatype, args, good, bad):
    value, suspender = make(kind, datatype, good, *args)
    installed(suspender)
    assert isinstance(suspender, kind)
    said, go = [], threading.Event()
    run = PlanThread(RE, plan(said, go))
    wait(lambda: said)
    value(bad)
    wait(lambda: "x halt" in RE.told)  # suspending stops the axes
    wait(lambda: pause.is_set)
    go.set()
    assert said == ["begun"]
    value(good)
    assert run.end().exit_status == "success"
    assert said[-1] == "done"
    assert not pause.is_set


BAD = [(float("nan"), 0), (5.0, 3)]


@pytest.mark.parametrize(("reading", "severity"), BAD)
@pytest.mark.parametrize("kind", [SuspendFloor, SuspendCeil])
def test_what_cannot_be_judged_is_not_good(RE, installed, kind, reading, severity):
    value, suspender = make(kind, float, 5.0, 5.0)
    installed(suspender)
    assert not suspender.tripped
    value(reading, severity)
    assert suspender.tripped
    assert "cannot be relied on" in suspender.get_futures()[1]
    value(reading, severity)
    assert suspender.tripped
    value(5.0)
    assert not suspender.tripped


def test_a_plan_does_not_begin_before_the_present_value_is_good(RE, installed):
    value, suspender = make(SuspendFloor, float, 0.0, 1.0)
    installed(suspender)
    assert suspender.tripped  # at once: its first reading was waited for
    said, go = [], threading.Event()
    go.set()
    run = PlanThread(RE, plan(said, go))
    wait(lambda: RE.state == "running")
    assert said == []
    value(2.0)
    assert run.end().exit_status == "success"


def test_installed_by_a_plan_and_removed_by_it(RE, installed):
    value, suspender = make(SuspendFloor, float, 2.0, 1.0)

    def watched():
        yield from bps.install_suspender(suspender)
        yield from bps.sleep(0)
        yield from bps.remove_suspender(suspender)

    assert RE(watched()).exit_status == "success"
    value(0.0)
    assert not suspender.tripped
    assert value.backend.callback is None  # nobody polls for it any more
    suspender._sig.clear_sub(suspender)  # once more does no harm


def suspended(RE, installed):
    value, suspender = make(SuspendFloor, float, 2.0, 1.0)
    installed(suspender)
    said, go = [], threading.Event()
    go.set()

    def waiting():
        yield from bps.checkpoint()
        said.append("begun")
        yield from bps.sleep(BOUND)
        said.append("done")

    run = PlanThread(RE, waiting())
    wait(lambda: said)
    value(0.0)
    wait(lambda: pause.is_set)
    return value, said, run


def test_good_again_does_not_go_on_after_a_stop_all(RE, installed):
    value, said, run = suspended(RE, installed)
    stop_all("smoke")
    value(2.0)
    assert run.end() is None
    assert "smoke" in str(run.error)
    assert said == ["begun"]


def test_good_again_does_not_go_on_when_only_the_latch_is_set(RE, installed):
    value, said, run = suspended(RE, installed)
    latch.trip("smoke", "another process")
    value(2.0)
    assert run.end() is None
    assert "smoke" in str(run.error)
    assert said == ["begun"]


def test_good_again_does_not_go_on_after_an_abort(RE, installed):
    value, said, run = suspended(RE, installed)
    RE.abort()
    assert run.end() is None
    value(2.0)
    assert RE.state == "idle"
    assert said == ["begun"]


def test_a_plan_paused_while_suspended_is_not_resumed_before_all_is_well(RE, installed):
    value, _, run = suspended(RE, installed)
    RE.request_pause()
    assert run.end() is None
    with pytest.raises(ResumeRefused, match="fell below 1.0"):
        RE.resume()
    value(2.0)
    RE.abort()


def test_conditions_for_a_bench(RE, installed):
    power, _ = make(None, float, 5.0)
    crystal, _ = make(None, float, 30.0)
    state, _ = make(None, str, "connected")
    three = [
        installed(power_below(power.signal, 1.0, resume=2.0)),
        installed(temperature_outside(crystal.signal, 29.0, 31.0)),
        installed(link_lost(state.signal)),
    ]
    assert [s.tripped for s in three] == [False, False, False]
    power(0.5), crystal(40.0), state("lost")
    assert [s.tripped for s in three] == [True, True, True]
    power(1.5), crystal(30.5), state("connected")
    assert [s.tripped for s in three] == [True, False, False]
    power(2.5)
    assert not three[0].tripped


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: power_below(s, float("nan")),
        lambda s: power_below(s, 2.0, resume=1.0),
        lambda s: power_below(s, 1.0, settle=-1.0),
        lambda s: temperature_outside(s, 2.0, 1.0),
        lambda s: temperature_outside(s, 0.0, float("inf")),
        lambda s: link_lost(s, settle=float("inf")),
    ],
)
def test_bad_bounds_are_refused(RE, wrong):
    with pytest.raises(LimitError):
        wrong(make(None, float, 1.0)[0].signal)


def test_only_readable_signals_of_ophyd_async(RE):
    with pytest.raises(TypeError, match="no readable signal"):
        on_signal(SuspendFloor, object(), 1.0)


def test_a_signal_that_is_not_connected_is_refused(RE):
    signal = call_in_bluesky_event_loop(_unconnected(), timeout=BOUND)
    with pytest.raises(RdaqError, match="power cannot be watched: .*connect its device first"):
        RE.install_suspender(on_signal(SuspendFloor, signal, 1.0))
    RE.clear_suspenders()


class Broken(SoftSignalBackend):
    def set_callback(self, callback):
        raise NotImplementedError("not connected")


async def _unconnected():
    return SignalR(Broken(float), name="power")


class Silent(SoftSignalBackend):
    """Subscribed to, it gives no reading."""

    def set_callback(self, callback):
        self.callback = callback


async def _silent():
    return SignalR(Silent(float), name="power")


def test_no_reading_at_all_is_not_good(RE, installed, monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.suspenders._watched.FIRST", 0.05)
    suspender = installed(on_signal(SuspendFloor, call_in_bluesky_event_loop(_silent(), timeout=BOUND), 1.0))
    assert suspender.tripped
    assert "no reading within 0.05 s" in suspender.get_futures()[1]


def test_a_watched_signal_has_the_signals_name(RE):
    assert Watched(soft_signal_rw(float, name="power")).name == "power"


def test_of_two_conditions_both_must_be_good_again(RE, installed):
    one, first = make(SuspendFloor, float, 2.0, 1.0)
    other, second = make(SuspendFloor, float, 2.0, 1.0)
    for suspender in (first, second):
        installed(suspender)
    said, go = [], threading.Event()
    run = PlanThread(RE, plan(said, go))
    wait(lambda: said)
    one(0.5)
    wait(lambda: pause.is_set)
    other(0.5)
    wait(lambda: second.tripped)
    go.set()
    other(2.0)
    wait(lambda: not second.tripped)
    wait(lambda: RE._task is not None and RE.state == "running")
    assert pause.is_set
    assert said == ["begun"]
    one(2.0)
    assert run.end().exit_status == "success"
    assert said[-1] == "done"
