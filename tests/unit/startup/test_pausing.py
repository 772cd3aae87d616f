"""A pause halts motion and acquisition, keeps the light, and does not go on when the light changed meanwhile."""

import asyncio

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import TransitionError
from planthread import PlanThread, wait

from rdaq_ophyd.errors import RdaqError, ResumeRefused
from rdaq_ophyd.startup import _held
from rdaq_ophyd.stop import pause


def set_to(signal, value):
    async def put():
        await signal.set(value)

    call_in_bluesky_event_loop(put(), timeout=10)


@pytest.fixture
def paused(rig, when):
    """A run that is paused in mid-move; the axis is free to arrive from now on."""
    for light in (rig.laser.shutter, rig.laser.emission):
        set_to(light, True)
    rig.x.free = False
    when(lambda: rig.x.moving, lambda: rig.RE.request_pause())
    with pytest.raises(RunEngineInterrupted):
        rig.RE(bpp.run_wrapper(bpp.finalize_wrapper(moves(rig), bps.null())))
    rig.x.free = True
    return rig


def moves(rig):
    yield from bps.checkpoint()
    yield from bps.mv(rig.x, 1)


def test_the_flag_is_set_before_the_halts_and_until_the_plan_goes_on(paused):
    assert pause.is_set
    assert paused.log.index("x halt") < paused.log.index("x stop")
    assert paused.RE.resume().exit_status == "success"
    assert not pause.is_set
    assert paused.log[-2:] == ["x moves to 1", "x stop"]


def test_the_flag_ends_with_an_abort(paused):
    paused.RE.abort()
    assert not pause.is_set


def test_resume_is_refused_when_a_shutter_or_a_laser_changed(paused):
    set_to(paused.laser.shutter, False)
    with pytest.raises(ResumeRefused) as refused:
        paused.RE.resume()
    assert "laser.shutter was True when the plan paused and is False now" in str(refused.value)
    assert "emission" not in str(refused.value)
    assert "accept_changes" in str(refused.value)
    assert paused.RE.state == "paused"
    assert pause.is_set
    set_to(paused.laser.shutter, True)
    assert paused.RE.resume().exit_status == "success"


def test_the_change_can_be_accepted_with_a_reason_that_is_recorded(paused, documents):
    set_to(paused.laser.emission, False)
    with pytest.raises(RdaqError, match="needs a reason"):
        paused.RE.resume(accept_changes=" ")
    assert paused.RE.resume(accept_changes="dark frames wanted").exit_status == "success"
    told = [doc["data"].get("interruption", "") for name, doc in documents if name == "event"]
    assert any("dark frames wanted" in text and "laser.emission was True" in text for text in told)


def test_a_reason_accepts_what_was_told_and_not_what_changed_since(paused, documents):
    set_to(paused.laser.emission, False)
    with pytest.raises(ResumeRefused, match="laser.emission was True") as told:
        paused.RE.resume()
    set_to(paused.laser.shutter, False)
    with pytest.raises(ResumeRefused, match="laser.shutter was True") as told_more:
        paused.RE.resume(accept_changes="dark frames wanted", told=told.value.what)
    assert paused.RE.state == "paused"
    set_to(paused.laser.emission, True)  # less than was told is no news
    done = paused.RE.resume(accept_changes="dark frames wanted", told=told_more.value.what)
    assert done.exit_status == "success"
    recorded = [doc["data"].get("interruption", "") for name, doc in documents if name == "event"]
    assert [text.count("was True") for text in recorded if "dark frames wanted" in text] == [1]


FELL = "Signal {} = {} fell below 1 and has not yet crossed above 1.: too dark"


@pytest.mark.parametrize(("change", "known"), [
    ("laser.shutter was True when the plan paused and is False now", True),
    ("shutter was True when the plan paused and is False now", False),
    ("laser.shutter was True when the plan paused and is unknown (OSError: a = b) now", False),
    (FELL.format("power", 0.2), True),  # the condition that was told, with another value
    (FELL.format("pow", 0.1), False),
    ("Signal gate is high: a; b", True),
    ("Signal gate is low", False),
])  # fmt: skip
def test_what_was_told_is_known_again(change, known):
    told = "laser.shutter was True when the plan paused and is False now"
    text = "; ".join((told, FELL.format("power", 0.1), "Signal gate is high: a; b"))
    assert _held.is_told(change, text) is known


async def unreadable(part):
    raise OSError("cable")


def test_resume_is_refused_when_the_state_cannot_be_read_any_more(paused, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_held, "_ask", unreadable)
        with pytest.raises(ResumeRefused, match=r"is unknown \(OSError: cable\) now"):
            paused.RE.resume()
    assert paused.RE.resume().exit_status == "success"


def test_a_state_that_was_not_known_when_the_plan_paused_is_no_state_to_go_on_with(rig, when, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_held, "_ask", unreadable)
        with pytest.raises(RunEngineInterrupted):
            rig.RE(bps.pause())
    with pytest.raises(ResumeRefused, match=r"was unknown \(OSError: cable\) when the plan paused"):
        rig.RE.resume()


def test_a_laser_that_does_not_answer_keeps_nobody_waiting(rig, monkeypatch):
    async def never(part):
        await _held.asyncio.Event().wait()

    monkeypatch.setattr(_held, "BOUND", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(_held, "_ask", never)
        with pytest.raises(RunEngineInterrupted):
            rig.RE(bps.pause())
    with pytest.raises(ResumeRefused, match="no answer within 0.05 s"):
        rig.RE.resume()


class Shutter:
    """Of another library: no signal."""

    name = "old"

    def __init__(self, part):
        self.shutter = part


class Located:
    def set(self, value): ...
    def locate(self):
        return {"setpoint": "open", "readback": "closed"}


class Read:
    name = "read"
    parent = None

    def set(self, value): ...
    def read(self):
        return {"state": {"value": "open", "timestamp": 0}}

    def describe(self):
        return {}


class Deaf:
    def set(self, value): ...


@pytest.mark.parametrize(
    ("part", "state"), [(Located(), "'closed'"), (Read(), "{'state': 'open'}"), (Deaf(), "unknown")]
)
async def test_states_of_devices_of_all_kinds(part, state):
    there: list = []
    held = _held.HeldStates(lambda: there)
    assert await held.changes() == []  # nothing was noted
    await held.note()
    there.append(Shutter(part))
    assert (await held.changes())[0].startswith(
        f"old.shutter was unknown (it is not there) when the plan paused and is {state}"
    )
    held.forget()
    await held.note()
    assert len(await held.changes()) == (state == "unknown")


def suspended(rig):
    """A plan in mid-suspension, the shutter open when it began; and what ends the suspension."""
    for light in (rig.laser.shutter, rig.laser.emission):
        set_to(light, True)
    rig.x.free = False
    plan = PlanThread(rig.RE, bpp.run_wrapper(moves(rig)))
    wait(lambda: rig.x.moving)
    good = asyncio.Event()
    rig.RE.request_suspend(good.wait)
    wait(lambda: "x stop" in rig.log and rig.RE.state == "running")
    wait(lambda: rig.RE._held._before is not None)
    rig.x.free = True
    return plan, lambda: rig.RE.loop.call_soon_threadsafe(good.set)


def test_a_suspension_that_ends_goes_on_by_itself_when_the_light_is_as_it_was(rig):
    plan, end = suspended(rig)
    end()
    assert plan.end().exit_status == "success"
    assert rig.log[-2:] == ["x moves to 1", "x stop"]


def test_a_suspension_that_ends_in_other_light_becomes_a_pause(rig, caplog):
    plan, end = suspended(rig)
    set_to(rig.laser.shutter, False)
    end()
    plan.end()
    assert rig.RE.state == "paused"
    assert (
        "the condition is good again, but laser.shutter was True when the plan paused and is False now" in caplog.text
    )
    assert rig.log.count("x moves to 1") == 1
    with pytest.raises(ResumeRefused, match=r"laser\.shutter was True"):
        rig.RE.resume()
    set_to(rig.laser.shutter, True)
    assert rig.RE.resume().exit_status == "success"
    assert rig.log[-2:] == ["x moves to 1", "x stop"]


def test_a_pause_within_a_suspension_compares_with_the_light_before_it(rig):
    plan, end = suspended(rig)
    set_to(rig.laser.shutter, False)
    rig.RE.request_pause()
    plan.end()
    with pytest.raises(ResumeRefused, match=r"laser\.shutter was True"):
        rig.RE.resume()
    end()
    assert rig.RE.resume(accept_changes="that is how I want it").exit_status == "success"


def test_what_a_suspender_does_to_the_light_by_itself_is_no_change(rig):
    set_to(rig.laser.shutter, True)
    good, said = asyncio.Event(), []

    def pre_plan():
        yield from bps.abs_set(rig.laser.shutter, False, wait=True)
        said.append("dark")

    def post_plan():
        yield from bps.abs_set(rig.laser.shutter, True, wait=True)

    rig.x.free = False
    plan = PlanThread(rig.RE, bpp.run_wrapper(moves(rig)))
    wait(lambda: rig.x.moving)
    rig.RE.request_suspend(good.wait, pre_plan=pre_plan, post_plan=post_plan)
    wait(lambda: said)
    rig.x.free = True
    rig.RE.loop.call_soon_threadsafe(good.set)
    assert plan.end().exit_status == "success"


def test_a_shutter_that_closes_while_a_pause_settles_is_a_change(rig):
    set_to(rig.laser.shutter, True)
    rig.x.free, rig.x.deaf = False, True
    plan = PlanThread(rig.RE, bpp.run_wrapper(moves(rig)))
    wait(lambda: rig.x.moving)
    rig.RE.request_pause()
    wait(lambda: rig.RE._held._before is not None)
    set_to(rig.laser.shutter, False)
    rig.x.free, rig.x.deaf = True, False
    plan.end()
    with pytest.raises(ResumeRefused, match=r"laser\.shutter was True"):
        rig.RE.resume()
    rig.RE.abort()


def test_a_resume_that_is_refused_lets_no_camera_go_on(rig):
    plan, end = suspended(rig)
    with pytest.raises(TransitionError):
        rig.RE.resume()
    assert pause.is_set
    end()
    plan.end()
    assert not pause.is_set


def test_a_pause_before_the_first_checkpoint_can_be_repeated(rig, when, documents):
    rig.x.free = False
    for number, go in enumerate((lambda: rig.RE(bpp.run_wrapper(bps.mv(rig.x, 1))), lambda: rig.RE.resume()), 1):
        when(lambda n=number: rig.log.count("x moves to 1") == n, lambda: rig.RE.request_pause())
        with pytest.raises(RunEngineInterrupted):
            go()
    rig.x.free = True
    assert rig.RE.resume().exit_status == "success"
    events = [doc for name, doc in documents if name == "event"]
    assert [doc["data"]["interruption"] for doc in events] == ["pause", "resume", "pause", "resume"]
    assert [doc["seq_num"] for doc in events] == [1, 2, 3, 4]
