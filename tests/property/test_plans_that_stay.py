"""Whatever a plan catches, and however long it goes on: when it is to end it ends, and then does nothing more."""

from __future__ import annotations

import gc
import threading
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky.run_engine import call_in_bluesky_event_loop
from hypothesis import given, settings
from hypothesis import strategies as st
from planthread import PlanThread, wait
from softaxis import SoftAxis

from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop
from rdaq_ophyd.stop import latch, reset, stop_all

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"  # a generator that ignores its close says so once more
)
CATCHES = {"nothing": (), "abort": (Exception,), "all": (BaseException,), "status": (ValueError,)}


@pytest.fixture(scope="module")
def rig():
    log: list[str] = []
    devices: dict = {}
    RE = make_run_engine({}, scan_id_source=lambda md: 1, devices=devices.values, person=False)
    RE.clean_up, RE.stopped_clean_up = 0.15, 0.1

    async def make():
        devices.update(x=SoftAxis("x", log))
        await devices["x"].connect()

    call_in_bluesky_event_loop(make(), timeout=20)
    with RE.plan_end:
        yield SimpleNamespace(RE=RE, log=log, x=devices["x"])
    stop_loop(RE)
    gc.collect()  # Python complains of generators that ignored their close: here, not in another file's test


def step(rig, what):
    match what:
        case "move":
            yield from bps.mv(rig.x, 1)
        case "read":
            yield from bps.rd(rig.x.position)
        case "checkpoint":
            yield from bps.checkpoint()
        case "nothing":
            yield from bps.null()
        case _:
            yield from bps.sleep({"wait": 0.01, "wait long": 60}[what])


def stubborn(rig, steps, catches, cleans, times, progress):
    """Does its steps ``times`` times; what it catches does not keep it from the next ones."""
    for _ in range(times):
        try:
            for what in steps:
                yield from step(rig, what)
            yield from bps.null()
            progress.set()
        except CATCHES[catches]:
            yield from bps.null()
        finally:
            if cleans:
                yield from bps.null()
                for what in cleans:
                    yield from step(rig, what)


def says(log):
    yield from bps.null()
    log.append("done")


def within(rig, kind, plan):
    if kind == "run":
        return bpp.run_wrapper(plan)
    if kind == "finalized":
        return bpp.finalize_wrapper(bpp.run_wrapper(plan), bps.mv(rig.x, 0))
    return plan


STEPS = st.lists(st.sampled_from(["move", "read", "checkpoint", "nothing", "wait"]), min_size=1, max_size=3)
PLANS = st.fixed_dictionaries(
    {
        "steps": STEPS,
        "catches": st.sampled_from(sorted(CATCHES)),
        "cleans": st.just([]) | st.lists(st.sampled_from(["move", "wait", "wait long"]), max_size=2),
        "times": st.sampled_from([1, 3, 1_000_000]),
    }
)
ENDS = {
    "stop-all": lambda rig: stop_all("smoke"),
    "stop-all, forced reset": lambda rig: (stop_all("smoke"), reset("looked", force=True)),
    "abort": lambda rig: rig.RE.abort("enough"),
    "finish": lambda rig: rig.RE.stop(),
    "halt": lambda rig: rig.RE.halt(),
    "abort, halt": lambda rig: (rig.RE.abort(), rig.RE.halt()),
    "finish, stop-all": lambda rig: (rig.RE.stop(), stop_all("smoke")),
    "pause, stop-all": lambda rig: (rig.RE.request_pause(), stop_all("smoke")),
    "pause, abort": lambda rig: (rig.RE.request_pause(), rig.RE.abort()),
}


def try_to(end, rig):
    from bluesky.utils import TransitionError

    try:
        ENDS[end](rig)
    except TransitionError:
        return  # it has ended by itself meanwhile


@settings(max_examples=40)
@given(plan=PLANS, kind=st.sampled_from(["bare", "run", "finalized"]), end=st.sampled_from(sorted(ENDS)))
def test_a_plan_that_is_to_end_ends_and_does_nothing_more(rig, plan, kind, end):
    documents, states, progress = [], [], threading.Event()
    rig.log.clear()
    token = rig.RE.subscribe(lambda name, doc: documents.append((name, doc)))
    hooks = rig.RE.observers
    note = states.append
    hooks.append(note)
    thread = PlanThread(rig.RE, within(rig, kind, stubborn(rig, progress=progress, **plan)))
    try:
        wait(lambda: rig.RE.turns.wait_over(0) or rig.RE.state == "running")
        wait(lambda: rig.RE.turns.wait_over(0) or progress.is_set() or "wait long" in plan["cleans"])
        try_to(end, rig)
        was_reset = len(rig.log)
        if latch.tripped:
            reset("looked")  # which waits for the plan
            assert rig.RE.turns.wait_over(0)
            was_reset = len(rig.log)
        thread.end()
        wait(lambda: rig.RE.turns.wait_over(0))
    finally:
        hooks.remove(note)
        rig.RE.unsubscribe(token)
    assert rig.RE.state == "idle"
    if "stop-all" in end:
        assert not [line for line in rig.log[was_reset:] if "moves" in line]
    assert not latch.tripped
    names = [name for name, _ in documents]
    assert names.count("start") == names.count("stop")
    done = len(rig.log)
    assert rig.RE(says(rig.log)).exit_status == "success"  # the engine is as good as new
    assert rig.log.pop() == "done"
    assert [line for line in rig.log[done:] if "moves" in line] == []
