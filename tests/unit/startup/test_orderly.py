"""Whenever an interruption comes, the engine comes to rest, and every run has its stop document."""

import asyncio
import threading
from concurrent.futures import Future

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngineInterrupted
from bluesky.utils import FailedStatus, TransitionError
from planthread import PlanThread, wait


def move(rig):
    return bpp.run_wrapper(bpp.pchain(bps.checkpoint(), bps.mv(rig.x, 1)))


@pytest.fixture
def cleaning(rig, documents):
    """An engine in the midst of its own clean-up: a plan is over, and an axis has not confirmed its stop yet."""
    rig.x.deaf = True
    thread = PlanThread(rig.RE, move(rig))
    wait(lambda: "x stop" in rig.log)
    yield thread
    rig.x.deaf = False
    assert thread.end() is not None, thread.error
    assert documents[-1][0] == "stop"
    assert documents[-1][1]["exit_status"] == "success"


def interruptions(RE):
    return {"pause": RE.request_pause, "abort": RE.abort, "stop": RE.stop, "halt": RE.halt}


@pytest.mark.parametrize("name", ["pause", "abort", "stop", "halt"])
def test_an_interruption_of_the_engines_own_clean_up_comes_too_late(rig, cleaning, name):
    with pytest.raises(TransitionError, match="the plan has just ended and cannot be"):
        interruptions(rig.RE)[name]()
    assert rig.RE.state == "running"


def test_a_suspension_of_the_engines_own_clean_up_comes_too_late(rig, cleaning):
    seen = []
    before, rig.RE.state_hook = rig.RE.state_hook, lambda new, old: (seen.append((new, old)), before(new, old))
    try:
        rig.RE.request_suspend(rig.RE.loop.create_future())
        wait(lambda: ("running", "suspending") in seen)
    finally:
        rig.RE.state_hook = before


@pytest.mark.parametrize("asked", ["declared", "read"])
def test_an_interruption_while_a_device_tells_its_configuration_is_made_good(rig, documents, monkeypatch, asked):
    asking, go_on = threading.Event(), threading.Event()
    kind = type(rig.x)
    read_configuration = kind.read_configuration

    async def slowly(axis):
        asking.set()
        while not go_on.is_set():  # noqa: ASYNC110  set from another thread
            await asyncio.sleep(0.001)
        return await read_configuration(axis)

    def plan():
        yield from bps.open_run()
        yield from bps.checkpoint()
        if asked == "declared":
            yield from bps.declare_stream(rig.x, name="primary")
        yield from bps.trigger_and_read([rig.x])
        yield from bps.close_run()

    monkeypatch.setattr(kind, "read_configuration", slowly)
    thread = PlanThread(rig.RE, plan())
    wait(asking.is_set)
    rig.RE.request_pause()
    thread.end()
    assert isinstance(thread.error, RunEngineInterrupted)
    go_on.set()
    assert rig.RE.resume().exit_status == "success"
    assert [name for name, _ in documents].count("event") >= 1


def test_a_plan_that_failed_closes_its_run_although_a_pause_is_asked_for(rig, documents):
    rig.x.free, rig.x.deaf, rig.x.error = False, True, RuntimeError("stuck")
    outcome: Future = Future()

    def run():
        try:
            rig.RE(move(rig))
        except BaseException as error:  # noqa: BLE001
            outcome.set_result(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait(lambda: "x stop" in rig.log)
    with pytest.raises(TransitionError, match="just ended"):
        rig.RE.request_pause()
    rig.x.deaf = False
    assert isinstance(outcome.result(10), FailedStatus)
    thread.join()
    assert documents[-1][0] == "stop"
    assert documents[-1][1]["exit_status"] == "fail"


@pytest.mark.parametrize("name", ["abort", "stop"])
def test_an_end_that_is_asked_for_while_a_pause_settles_waits_for_it(rig, documents, name):
    rig.x.free, rig.x.deaf = False, True
    plan = PlanThread(rig.RE, move(rig))
    wait(lambda: rig.x.moving)
    pausing = threading.Thread(target=rig.RE.request_pause)
    pausing.start()
    wait(lambda: "x stop" in rig.log)
    assert rig.RE.state == "pausing"
    ending = threading.Thread(target=interruptions(rig.RE)[name])
    ending.start()
    assert ending.is_alive()
    rig.x.deaf = False
    for thread in (pausing, ending):
        thread.join(10)
        assert not thread.is_alive()
    plan.end()
    assert isinstance(plan.error, RunEngineInterrupted)
    assert rig.RE.state == "idle"
    assert documents[-1][1]["exit_status"] == {"abort": "abort", "stop": "success"}[name]


def test_a_halt_waits_for_no_pause(rig, documents):
    rig.x.free, rig.x.deaf = False, True
    plan = PlanThread(rig.RE, move(rig))
    wait(lambda: rig.x.moving)
    rig.RE.request_pause()
    wait(lambda: "x stop" in rig.log)
    rig.RE.halt()
    rig.x.deaf = False
    plan.end()
    assert documents[-1][1]["exit_status"] == "abort"


def test_what_is_taken_down_is_not_taken_down_again(rig):
    rig.x.free = False
    held = bpp.finalize_wrapper(move(rig), bpp.pchain(bps.null(), bps.sleep(0.3)))
    plan = PlanThread(rig.RE, held)
    wait(lambda: rig.x.moving)
    rig.RE.abort("first")
    for name, again in interruptions(rig.RE).items():
        if name != "halt":
            with pytest.raises(TransitionError, match="being taken down already .*; halt ends it at once"):
                again()
    plan.end()


@pytest.mark.parametrize("first", ["abort", "stop"])
def test_a_halt_ends_a_clean_up_that_takes_its_time(rig, documents, first):
    done = []

    def clean_up():
        yield from bps.sleep(60)
        done.append("slept")

    rig.x.free = False
    plan = PlanThread(rig.RE, bpp.run_wrapper(bpp.finalize_wrapper(bps.mv(rig.x, 1), clean_up)))
    wait(lambda: rig.x.moving)
    interruptions(rig.RE)[first]()
    rig.RE.halt()
    plan.end()
    assert (rig.RE.state, done) == ("idle", [])
    assert documents[-1][1]["exit_status"] == "abort"


def test_a_clean_up_that_never_ends_is_left(rig, documents, monkeypatch, caplog):
    """bluesky's abort is an ``Exception``: a plan that leaves out what fails leaves out its own end."""
    monkeypatch.setattr(rig.RE, "clean_up", 0.2)
    running = threading.Event()

    def plan():
        yield from bps.open_run()
        while True:
            try:
                running.set()
                yield from bps.sleep(0.01)
            except Exception:  # noqa: BLE001 as careless plans do
                yield from bps.null()

    thread = PlanThread(rig.RE, plan())
    wait(running.is_set)
    rig.RE.abort("enough")
    thread.end()
    assert isinstance(thread.error, RunEngineInterrupted)
    assert "the plan is left: its clean-up took too long; look at the bench" in caplog.text
    assert documents[-1][0] == "stop"
    assert (documents[-1][1]["exit_status"], documents[-1][1]["reason"]) == ("abort", "enough")


def paused(rig):
    rig.x.free = False
    plan = PlanThread(rig.RE, move(rig))
    wait(lambda: rig.x.moving)
    rig.RE.request_pause()
    plan.end()
    assert rig.RE.state == "paused"
    rig.x.free = True


def in_threads(*calls):
    """All at once; the exceptions."""
    gate, errors = threading.Barrier(len(calls)), []

    def run(call):
        gate.wait()
        try:
            call()
        except (TransitionError, RunEngineInterrupted) as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return errors


def test_a_resume_and_an_abort_at_once_leave_the_engine_idle_and_the_run_closed(rig, documents):
    for _ in range(30):
        rig.log.clear()
        paused(rig)
        in_threads(rig.RE.resume, rig.RE.abort)
        assert rig.RE.state == "idle"
        assert documents[-1][0] == "stop"


def test_of_two_resumes_at_once_one_is_refused(rig, documents):
    for _ in range(30):
        paused(rig)
        errors = in_threads(rig.RE.resume, rig.RE.resume)
        assert [str(e) for e in errors if "only a paused plan can be resumed" in str(e)]
        assert rig.RE.state == "idle"
        assert documents[-1][1]["exit_status"] == "success"


def test_a_clean_up_waits_for_no_condition(rig, documents):
    """bluesky's request_suspend leaves this message behind when an abort comes just after it."""
    ended = []

    def clean_up():
        yield bps.Msg("_start_suspender", None, None, None, "too warm", asyncio.Future(loop=rig.RE.loop))
        yield from bps.null()
        ended.append(True)

    rig.x.free = False
    plan = PlanThread(rig.RE, bpp.finalize_wrapper(move(rig), clean_up))
    wait(lambda: rig.x.moving)
    rig.RE.abort("enough")
    plan.end()
    assert ended
    assert documents[-1][1]["exit_status"] == "abort"


def test_a_suspension_that_comes_with_the_last_message_does_not_lose_the_engine(rig, documents):
    never = asyncio.Event()

    def plan():
        yield from bps.open_run()
        yield from bps.checkpoint()
        yield from bps.close_run()
        rig.RE.request_suspend(never.wait)
        yield from bps.null()

    for _ in range(20):
        thread = PlanThread(rig.RE, plan())
        thread.join(0.5)
        if thread.is_alive():  # it began in time, and waits
            rig.RE.abort("enough")
        thread.end()
        assert rig.RE.state == "idle"
        assert documents[-1][0] == "stop"
