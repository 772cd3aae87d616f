"""What our worker and our manager do beyond queueserver's own; the processes themselves are in tests/system."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from bluesky.run_engine import RunEngineResult
from bluesky.utils import FailedStatus
from bluesky_queueserver.manager.manager import MState, RunEngineManager
from bluesky_queueserver.manager.worker import PlanExecState, RunEngineWorker

from rdaq_ophyd.errors import LimitError, ResumeRefused
from rdaq_ophyd.queue import _rig_session
from rdaq_ophyd.queue._engine_watch import EngineWatch
from rdaq_ophyd.queue._manager import RigManager
from rdaq_ophyd.queue._options import WorkerOptions
from rdaq_ophyd.queue._worker import OUTSIDE, RigWorker
from rdaq_ophyd.stop import latch

WORKER = {"update_existing_plans_devices": "NEVER", "use_ipython_kernel": False}
MANAGER = {
    "lock_key_emergency": None,
    "zmq_encoding": "json",
    "use_ipython_kernel": False,
    "user_group_permissions_reload": "NEVER",
}


@pytest.fixture
def worker():
    made = RigWorker(conn=object(), config=WORKER)
    made._re_report_lock, made._RE = threading.Lock(), SimpleNamespace(state="idle")
    made._watch = EngineWatch(SimpleNamespace(observers=[]))
    return made


@pytest.fixture
def rig(monkeypatch):
    """A session and a server with nothing in them."""
    made = SimpleNamespace(
        session=SimpleNamespace(rig=SimpleNamespace(name="bench")),
        server=SimpleNamespace(address="here", moving=[]),
        also_at=lambda: ["there"],
    )
    monkeypatch.setattr(_rig_session, "_opened", made)
    return made


@pytest.fixture
def opening(monkeypatch):
    """What happens while a session is opened in which there is nothing, in order."""
    steps, session = [], SimpleNamespace(rig=SimpleNamespace(failures={}), at_close=lambda _close: steps.append("kept"))
    served = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(_rig_session, "_opened", None)
    monkeypatch.setattr(_rig_session, "start", lambda *_profile, **_options: session)
    monkeypatch.setattr(_rig_session, "Daemon", lambda *_parts, **_options: served)
    monkeypatch.setattr(_rig_session, "settle", lambda: steps.append("settled"))
    return steps


def test_a_worker_that_is_open_is_settled(opening):
    assert _rig_session.open_session(WorkerOptions("bench.py", "data")) is _rig_session.opened()
    assert opening == ["kept", "settled"]


def result(value, uids=()):
    return RunEngineResult(uids, value, "success", False, "", None)


def moved():
    """What `mv` returns one of for each axis."""
    task = Future()
    task.set_result(None)
    return SimpleNamespace(
        done=True, success=True, exception=task.exception, add_callback=task.add_done_callback, wait=task.result
    )


@pytest.mark.parametrize(
    ("report", "states", "state", "message"),
    [
        ({"plan_state": "completed", "result": result(None)}, [], "completed", ""),
        ({"plan_state": "completed", "result": result(3.5)}, [], "completed", "3.5"),
        ({"plan_state": "completed", "result": result("uid", ("uid",))}, [], "completed", ""),
        ({"plan_state": "completed", "result": result((moved(),))}, [], "completed", ""),
        ({"plan_state": "completed", "result": result((1, 2))}, [], "completed", "(1, 2)"),
        ({"plan_state": "failed", "err_msg": "Plan failed: why"}, [], "failed", "Plan failed: why"),
        ({"plan_state": "failed", "err_msg": "stopped"}, ["running", "aborting", "idle"], "aborted", "stopped"),
        ({"plan_state": "failed", "err_msg": "over"}, ["running", "halting", "idle"], "halted", "over"),
        ({"plan_state": "aborted", "result": result(None)}, ["aborting"], "aborted", ""),
        ({"plan_state": "unknown", "err_msg": OUTSIDE}, ["running"], "completed", "resumed by others than the queue"),
        ({"plan_state": "unknown", "err_msg": OUTSIDE}, ["stopping"], "stopped", "stopped by others than the queue"),
        ({"plan_state": "aborted", "err_msg": OUTSIDE}, ["aborting"], "aborted", "aborted by others than the queue"),
    ],
)
def test_a_plan_is_reported_as_what_it_came_to(worker, report, states, state, message):
    for each in states:
        worker._watch._on_state(each)
    worker._re_report = {"result": "", "err_msg": "", "stop_queue": True, **report}
    told = worker._request_plan_report_handler()
    assert (told["plan_state"], told["err_msg"]) == (state, message)
    assert isinstance(told["result"], str)
    assert told["stop_queue"] == (report.get("err_msg") != OUTSIDE)
    assert worker._request_plan_report_handler() is None
    worker._watch.begin()
    assert worker._watch.end == ""


def test_no_plan_begins_while_everything_is_stopped_or_something_is_moved_by_hand(worker, rig):
    assert worker._command_reset_worker_handler() == {"status": "accepted", "err_msg": ""}
    assert worker._running_plan_exec_state == PlanExecState.RESET
    rig.server.moving = ["x"]
    reply = worker._command_reset_worker_handler()
    assert (reply["status"], "x is moved or set by hand" in reply["err_msg"]) == ("rejected", True)
    rig.server.moving = []
    latch.trip("smoke", "bob")
    reply = worker._command_reset_worker_handler()
    assert reply["status"] == "rejected"
    assert "by bob: smoke; look at the bench, then `rdaq reset REASON`" in reply["err_msg"]


def test_the_state_tells_of_the_rig(worker, rig):
    worker._active_run_list = SimpleNamespace(is_changed=lambda: False)
    state = worker._request_state_handler()
    assert (state["rig"], state["address"], state["stopped"], state["not_now"]) == ("bench", "here", "", "")
    assert state["also_at"] == ["there"]
    latch.trip("smoke", "bob")
    told = worker._request_state_handler()
    assert "smoke" in told["stopped"]
    assert told["stops"] != state["stops"]


def test_the_plan_gets_who_queued_it_and_a_failure_is_the_devices_own(worker, monkeypatch, caplog):
    taken, failure = [], FailedStatus("a status")
    failure.__cause__ = LimitError("x: 99 mm")

    def run():
        raise failure

    def generate(_worker, parameters):
        taken.append(parameters["meta"])
        return run

    monkeypatch.setattr(RunEngineWorker, "_generate_new_plan", generate)
    monkeypatch.setattr(RunEngineWorker, "_generate_continued_plan", lambda _worker, _parameters: refuse)
    for meta in ({"sample": "a"}, [{"sample": "a"}], None):
        with pytest.raises(LimitError, match="x: 99 mm"):
            worker._generate_new_plan({"meta": meta, "user": "bob", "item_uid": "1"})()
    mine = {"submitted_by": "bob", "queue_item": "1"}
    assert taken == [[mine, {"sample": "a"}], [mine, {"sample": "a"}], [mine, {}]]

    def refuse():
        raise ResumeRefused("the shutter is open now")

    with pytest.raises(ResumeRefused):
        worker._generate_continued_plan({"option": "resume"})()
    assert "the shutter is open now" in caplog.text


@pytest.mark.parametrize("meta", [{"submitted_by": "eve"}, [{"sample": "a"}, {"queue_item": "7"}], {"uid": "x"}])
def test_what_the_queue_knows_is_nobody_elses_to_say(worker, meta):
    with pytest.raises(LimitError, match="'s own"):
        worker._generate_new_plan({"meta": meta, "user": "bob", "item_uid": "1"})


class PlanQueue:
    """Of a manager: one item runs."""

    def __init__(self):
        self.stopped = []

    def get_running_item_info(self):
        return {"name": "count", "item_uid": "1"}

    async def set_processed_item_as_stopped(self, **how):
        self.stopped.append(how)


@pytest.fixture
def manager(monkeypatch):
    made = RigManager(conn_watchdog=object(), conn_worker=object(), config=MANAGER, number_of_restarts=1)
    made.states, made.alive, made.calls = [], True, []
    made._environment_exists, made._manager_state, made._plan_queue = True, MState.IDLE, PlanQueue()

    async def state(_self):
        return (made.states.pop(0) if made.states else None), ""

    async def alive():
        return made.alive

    def noted(name, reply):
        async def call(*_words, **_more):
            made.calls.append(name)
            return reply

        return call

    monkeypatch.setattr(RunEngineManager, "_worker_request_state", state)
    for name in ("_start_plan", "_autostart_enable", "_autostart_disable", "_kill_re_worker_task"):
        monkeypatch.setattr(RunEngineManager, name, noted(name, (True, "")))
    monkeypatch.setattr(RunEngineManager, "_start_single_plan", noted("_start_single_plan", (True, "", {}, 1)))
    monkeypatch.setattr(made, "_watchdog_is_worker_alive", alive)
    return made


def told(stopped="", stops=0):
    return {"stopped": stopped, "stops": stops, "not_now": stopped and f"{stopped}; look"}


async def test_a_manager_begins_nothing_while_everything_is_stopped(manager):
    manager.states = [told("smoke", 1)] * 3
    assert await manager._start_plan() == (False, "smoke; look")
    assert await manager._start_single_plan(item={"name": "count"}) == (False, "smoke; look", {"name": "count"}, None)
    assert await manager._autostart_enable() == (False, "smoke; look")
    assert manager.calls == ["_autostart_disable"]
    manager.states = [told(stops=1)] * 3
    assert await manager._start_plan() == (True, "")
    assert (await manager._start_single_plan(item={}))[0]
    assert await manager._autostart_enable() == (True, "")


async def test_a_stop_that_was_reset_between_two_looks_ends_the_automatic_start_too(manager):
    manager.states = [told(), told(), told(stops=1), told(stops=1)]
    for calls in (0, 0, 1, 1):
        await manager._worker_request_state()
        assert len(manager.calls) == calls


async def test_a_dead_worker_is_buried_once(manager, caplog):
    manager._loop = asyncio.get_running_loop()
    await manager._look_for_death()  # it only hangs
    assert manager.calls == []
    manager.alive = False
    await manager._worker_request_state()
    await manager._worker_request_state()
    await manager._burial
    assert manager.calls == ["_autostart_disable", "_autostart_disable", "_kill_re_worker_task"]
    (how,) = manager._plan_queue.stopped
    assert how["exit_status"] == "failed"
    assert how["err_msg"] == manager._worker_died
    assert manager._worker_died.endswith("in plan count")
    assert "the worker died" in caplog.text


async def test_a_worker_that_dies_while_it_opens_is_not_waited_for(manager):
    manager._loop = asyncio.get_running_loop()
    manager._manager_state, manager._fut_manager_task_completed = MState.CREATING_ENVIRONMENT, asyncio.Future()
    manager.alive = False
    await manager._worker_request_state()
    assert manager._fut_manager_task_completed.result() is False
    assert "while it opened its environment" in manager._worker_died


@pytest.mark.parametrize("state", [MState.CLOSING_ENVIRONMENT, MState.DESTROYING_ENVIRONMENT])
async def test_a_worker_that_is_being_ended_has_not_died(manager, state):
    manager._manager_state, manager.alive = state, False
    await manager._worker_request_state()
    assert manager._worker_died == ""
