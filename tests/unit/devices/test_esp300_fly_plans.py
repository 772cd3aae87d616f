"""Fly moves of an ESP300 axis in plans: a stream of positions, pauses, aborts."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine, RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from event_model import unpack_event_page
from ophyd_async.core import FlyMotorInfo, init_devices

from rdaq_ophyd.devices.esp300 import Esp300Axis
from rdaq_ophyd.sim import SimEsp300, serve_pty
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop

ACROSS = FlyMotorInfo(start_position=-2.0, end_position=3.0, time_for_move=0.5)
SLOWLY = FlyMotorInfo(start_position=0.0, end_position=20.0, time_for_move=2.0)


@pytest.fixture
def rig() -> Iterator[SimpleNamespace]:
    """An engine as a session has it, an axis that is on, and the documents."""
    documents: list = []
    with serve_pty(SimEsp300(speed=5.0), lift_baud=True) as port:
        found: list = []
        RE = make_run_engine({}, scan_id_source=lambda md: 1, devices=lambda: found, person=False)
        with init_devices():
            x = Esp300Axis(port.url, 1)
        found.append(x)
        RE.subscribe(lambda name, doc: documents.append((name, doc)))
        with RE.plan_end:
            RE(bps.mv(x.enabled, True))
            yield SimpleNamespace(RE=RE, x=x, port=port, documents=documents)
            if RE.state == "paused":
                RE.abort()
        x.close()
        stop_loop(RE)


def fly(x: Esp300Axis, info: FlyMotorInfo):
    """All of it after one checkpoint."""

    @bpp.run_decorator()
    def inner():
        yield from bps.declare_stream(x, name="flight", collect=True)
        yield from bps.checkpoint()
        yield from bps.prepare(x, info, wait=True)
        yield from bps.kickoff(x, wait=True)
        yield from bps.complete(x, wait=True)
        yield from bps.collect(x, name="flight")

    return (yield from inner())


def events(documents) -> list[dict]:
    pages = [doc for name, doc in documents if name == "event_page"]
    return [event for page in pages for event in unpack_event_page(page)]


def velocity(rig) -> float:
    return call_in_bluesky_event_loop(rig.x.velocity.get_value(cached=False), timeout=10)


def when(condition: Callable[[], bool], action: Callable[[], object]) -> threading.Thread:
    """Act from another thread once a condition holds (bounded)."""

    def watch() -> None:
        for _ in range(20_000):
            if condition():
                action()
                return
            threading.Event().wait(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def flying(rig, samples: int = 5) -> Callable[[], bool]:
    return lambda: rig.x.movable_logic.flying and len(rig.x.movable_logic.track.samples) > samples


def test_the_positions_are_a_stream_with_the_hosts_times(rig):
    rig.RE(fly(rig.x, ACROSS))
    (descriptor,) = [doc for name, doc in rig.documents if name == "descriptor" and "x" in doc["data_keys"]]
    assert descriptor["name"] == "flight"
    assert set(descriptor["data_keys"]) == {"x", "x-time", "x-time_uncertainty"}
    assert descriptor["data_keys"]["x"]["units"] == "mm"
    assert descriptor["configuration"]["x"]["data"]["x-max_velocity"] == 200.0
    taken = rig.x.positions
    assert descriptor["time"] < taken.time[0]
    told = events(rig.documents)
    assert [event["data"]["x"] for event in told] == list(taken.position)
    assert [event["data"]["x-time"] for event in told] == list(taken.time)
    assert [event["timestamps"]["x"] for event in told] == list(taken.time)
    assert [doc["exit_status"] for name, doc in rig.documents if name == "stop"] == ["success"]
    assert np.all(np.diff(taken.time) > 0)
    assert velocity(rig) == 50.0


def test_positions_are_collected_on_the_way_too(rig):
    @bpp.run_decorator()
    def plan():
        yield from bps.declare_stream(rig.x, name="flight", collect=True)
        yield from bps.prepare(rig.x, ACROSS, wait=True)
        yield from bps.kickoff(rig.x, wait=True)
        yield from bps.collect_while_completing([rig.x], [rig.x], flush_period=0.05, stream_name="flight")

    rig.RE(plan())
    pages = [doc for name, doc in rig.documents if name == "event_page"]
    assert len(pages) > 1
    told = events(rig.documents)
    assert [event["seq_num"] for event in told] == list(range(1, len(told) + 1))
    assert [event["data"]["x"] for event in told] == list(rig.x.positions.position)


def test_a_pause_stops_the_axis_and_a_resume_flies_again_from_the_checkpoint(rig):
    watcher = when(flying(rig), lambda: rig.RE.request_pause(defer=False))
    with pytest.raises(RunEngineInterrupted):
        rig.RE(fly(rig.x, SLOWLY))
    watcher.join(30)
    assert rig.RE.state == "paused"
    assert b"1ST\r" in rig.port.log.bytes()
    stopped = call_in_bluesky_event_loop(rig.x.locate(), timeout=10)["readback"]
    assert stopped < 19.0
    assert velocity(rig) == 50.0
    rig.RE.resume()
    assert [doc["exit_status"] for name, doc in rig.documents if name == "stop"] == ["success"]
    told = events(rig.documents)
    assert [event["data"]["x"] for event in told] == list(rig.x.positions.position)
    assert told[-1]["data"]["x"] > 20.0
    assert velocity(rig) == 50.0


@pytest.mark.parametrize("time", range(6))
def test_a_pause_as_the_axis_sets_out_and_a_resume_at_once(rig, time: int):
    """The stopped move sends its stop once more: not to the move that is sent again."""
    since = len(rig.port.log.bytes())
    watcher = when(lambda: b"1PA" in rig.port.log.bytes()[since:], lambda: rig.RE.request_pause(defer=False))
    with pytest.raises(RunEngineInterrupted):
        rig.RE(fly(rig.x, ACROSS))
    watcher.join(30)
    rig.RE.resume()
    assert [doc["exit_status"] for name, doc in rig.documents if name == "stop"] == ["success"]


@pytest.mark.parametrize("after", ["running", "paused"])
def test_an_abort_stops_the_axis_and_gives_its_velocity_back(rig, after: str):
    def interrupt():
        if after == "paused":
            rig.RE.request_pause(defer=False)
        else:
            rig.RE.abort("a test")

    watcher = when(flying(rig), interrupt)
    with pytest.raises(RunEngineInterrupted):
        rig.RE(fly(rig.x, SLOWLY))
    watcher.join(30)
    if after == "paused":
        rig.RE.abort("a test")
    assert rig.RE.state == "idle"
    assert [doc["exit_status"] for name, doc in rig.documents if name == "stop"] == ["abort"]
    assert call_in_bluesky_event_loop(rig.x.locate(), timeout=10)["readback"] < 19.0
    assert velocity(rig) == 50.0
    assert rig.port.log.bytes().count(b"1PA20") == 1


def test_positions_that_a_finalizer_collects_survive_an_abort(rig):
    @bpp.run_decorator()
    @bpp.finalize_decorator(lambda: bps.collect(rig.x, name="flight"))
    def plan():
        yield from bps.declare_stream(rig.x, name="flight", collect=True)
        yield from bps.prepare(rig.x, SLOWLY, wait=True)
        yield from bps.kickoff(rig.x, wait=True)
        yield from bps.complete(rig.x, wait=True)

    watcher = when(flying(rig), lambda: rig.RE.abort("a test"))
    with pytest.raises(RunEngineInterrupted):
        rig.RE(plan())
    watcher.join(30)
    told = [event["data"]["x"] for event in events(rig.documents)]
    assert len(told) > 5
    assert told == list(rig.x.positions.position[: len(told)])


def test_a_plan_that_fails_after_a_kickoff_leaves_nothing_moving(rig):
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(rig.x, SLOWLY, wait=True)
        yield from bps.kickoff(rig.x, wait=True)
        raise RuntimeError("as plans do")

    with pytest.raises(RuntimeError, match="as plans do"):
        rig.RE(plan())
    assert not rig.x.movable_logic.flying
    assert call_in_bluesky_event_loop(rig.x.done.get_value(cached=False), timeout=10) is True
    assert velocity(rig) == 50.0


def test_a_bare_engine_flies_too(engine: RunEngine):
    with serve_pty(SimEsp300(speed=5.0), lift_baud=True) as port:
        with init_devices():
            x = Esp300Axis(port.url, 1)
        try:
            engine(bps.mv(x.enabled, True))
            engine(fly(x, ACROSS))
            assert len(x.positions) > 3
        finally:
            x.close()
