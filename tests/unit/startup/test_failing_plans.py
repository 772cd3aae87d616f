"""Plans that fail by themselves: everything is halted before any clean-up; what was stopped with it is not done."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngineInterrupted
from bluesky.utils import FailedStatus

from rdaq_ophyd.errors import MoveInterrupted


class BrokenStage(Exception):
    """What a stage reports."""


def fails(axis, when, others=()):
    """Let ``axis`` fail as soon as it and the others move."""
    for each in (axis, *others):
        each.free = False
    when(lambda: all(each.moving for each in (axis, *others)), lambda: setattr(axis, "error", BrokenStage()))


def test_a_failed_status_halts_everything_ahead_of_the_clean_up(rig, when):
    x, y, log = rig.x, rig.y, rig.log

    def clean_up():
        log.append("clean-up")
        x.error, x.free, y.free = None, True, True
        yield from bps.mv(y, 0)
        yield from bps.mv(x, 0)
        log.append("cleaned up")

    fails(x, when, [y])
    with pytest.raises(FailedStatus) as failed:
        rig.RE(bpp.finalize_wrapper(bps.mv(x, 1, y, 2), clean_up))
    assert isinstance(failed.value.__cause__, BrokenStage)
    before = log[: log.index("clean-up")]
    assert {"x halt", "y halt"} <= set(before)
    assert "x stop" not in before  # bluesky's own stops come after the clean-up
    # The other axis' interrupted move was not thrown into the clean-up.
    assert log[log.index("clean-up") :][:4] == ["clean-up", "y moves to 0", "x moves to 0", "cleaned up"]


def test_a_companion_is_no_success_for_a_plan_that_waits_for_it(rig, when):
    x, y = rig.x, rig.y

    def stubborn():
        yield from bps.abs_set(y, 2, group="far")
        try:
            yield from bps.mv(x, 1)
        except FailedStatus:
            x.error, x.free = None, True
        yield from bps.mv(x, 1)  # one may try again
        yield from bps.wait("far")

    fails(x, when, [y])
    with pytest.raises(FailedStatus) as failed:
        rig.RE(stubborn())
    assert isinstance(failed.value.__cause__, MoveInterrupted)
    assert "y: told to stop" in str(failed.value.__cause__)
    assert "x moves to 1" in rig.log[rig.log.index("y halt") :]


def test_a_plan_that_tries_again_succeeds(rig, when):
    def patient():
        try:
            yield from bps.mv(rig.x, 1)
        except FailedStatus:
            rig.x.error, rig.x.free = None, True
        yield from bps.mv(rig.x, 1)

    fails(rig.x, when)
    assert rig.RE(patient()).exit_status == "success"


@bpp.run_decorator()
def flight(rig, then):
    yield from bps.kickoff(rig.flyer, wait=True)
    yield from then()


def test_an_error_in_the_plans_own_code_halts_what_was_kicked_off(rig):
    def typo():
        yield from bps.null()
        raise NameError("stpe")

    with pytest.raises(NameError):
        rig.RE(flight(rig, typo))
    assert not rig.flyer.flying
    assert rig.log.index("flyer halt") < rig.log.index("flyer stop")


def test_a_failed_status_halts_what_was_kicked_off(rig, when):
    fails(rig.x, when)
    with pytest.raises(FailedStatus):
        rig.RE(flight(rig, lambda: bps.mv(rig.x, 1)))
    assert rig.log.index("flyer halt") < rig.log.index("flyer stop")


def test_an_abort_halts_what_was_kicked_off_before_the_clean_up(rig, when):
    def clean_up():
        rig.log.append("clean-up")
        yield from bps.null()

    when(lambda: rig.flyer.flying, lambda: rig.RE.abort("enough"))
    with pytest.raises(RunEngineInterrupted):
        rig.RE(bpp.finalize_wrapper(flight(rig, lambda: bps.sleep(60)), clean_up))
    assert rig.log.index("flyer halt") < rig.log.index("clean-up")


def test_an_aborted_flight_says_abort_whatever_the_halted_flyer_reports(rig, when, documents):
    def landing():
        yield from bps.complete(rig.flyer, wait=True)

    when(lambda: rig.flyer.flying, lambda: rig.RE.abort("enough"))
    with pytest.raises(RunEngineInterrupted):
        rig.RE(flight(rig, landing))
    assert documents[-1][1]["exit_status"] == "abort"
    assert documents[-1][1]["reason"] == "enough"


def test_the_state_hook_never_raises(rig, when, monkeypatch, caplog):
    def broken():
        raise RuntimeError("no devices")

    when(lambda: rig.RE.state == "running", lambda: rig.RE.abort("enough"))
    with monkeypatch.context() as patch:
        patch.setattr(rig.RE, "_devices", broken)
        with pytest.raises(RunEngineInterrupted):
            rig.RE(bps.sleep(60))
    assert "no devices" in caplog.text
    assert rig.RE.state == "idle"


def test_a_device_that_does_not_stop_keeps_nobody_waiting(rig, when, monkeypatch, caplog):
    monkeypatch.setattr("rdaq_ophyd.startup._halting.STOP_BOUND", 0.05)
    rig.x.deaf = True
    assert rig.RE(bps.mv(rig.x, 1, rig.y, 1)).exit_status == "success"
    assert "did not confirm its stop" in caplog.text
    assert "y stop" in rig.log
