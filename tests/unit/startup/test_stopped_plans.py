"""A stop-all ends the plan in progress, whatever it is doing, and nothing goes on afterwards by itself."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop

from rdaq_ophyd.errors import ResumeRefused, StopLatched
from rdaq_ophyd.stop import Latch, latch, read_record, reset, stop_all, trip_file


def test_while_latched_no_plan_begins(rig, documents):
    stop_all("smoke", by="ada")
    began = []

    def plan():
        began.append(True)
        yield from bps.stage(rig.x)

    with pytest.raises(StopLatched, match=r"a plan was refused: everything was stopped at .* by ada: smoke → look"):
        rig.RE(plan())
    assert not began
    assert documents == []
    reset("it was steam")
    assert rig.RE(plan()).exit_status == "success"


def scan_with_clean_up(rig, cleaned):
    def clean_up():
        yield from bps.mv(rig.x, 0)
        cleaned.append("after the refused move")

    return bpp.finalize_wrapper(bp.scan([rig.y], rig.x, 1, 2, 2), clean_up)


def test_the_plan_in_progress_is_aborted_with_its_clean_up(rig, when, documents, caplog):
    cleaned = []
    rig.x.free = False
    when(lambda: rig.x.moving, lambda: stop_all("smoke", by="ada"))
    with pytest.raises(RunEngineInterrupted, match="the plan is over: .* by ada: smoke; look at the bench"):
        rig.RE(scan_with_clean_up(rig, cleaned))
    assert cleaned == ["after the refused move"]
    assert "x: a move was refused" in caplog.text
    stop = documents[-1][1]
    assert stop["exit_status"] == "abort"
    assert "by ada: smoke" in stop["reason"]
    assert stop["num_events"].get("primary", 0) == 0  # nothing was read where the axis never arrived
    assert "x moves to 0" not in rig.log


def test_what_devices_of_others_say_when_they_are_stopped_is_no_failure(rig, when, documents, monkeypatch):
    monkeypatch.setattr(type(rig.x), "interrupted", RuntimeError)
    cleaned = []
    rig.x.free = False

    when(lambda: rig.x.moving, lambda: call_in_bluesky_event_loop(later(rig, lambda: stop_all("smoke")), timeout=20))
    with pytest.raises(RunEngineInterrupted, match="smoke"):
        rig.RE(scan_with_clean_up(rig, cleaned))
    assert cleaned == ["after the refused move"]
    assert documents[-1][1]["exit_status"] == "abort"


async def later(rig, do):
    """Stop with the loop held, so that the axis reports before the abort can begin."""
    do()
    rig.x.halts += 1


def test_a_latch_set_by_somebody_else_ends_the_plan_at_its_next_move(rig, documents):
    cleaned = []

    def plan():
        latch.trip("from afar", "another process")  # no target of this process was told
        yield from scan_with_clean_up(rig, cleaned)

    with pytest.raises(RunEngineInterrupted, match="from afar"):
        rig.RE(plan())
    assert cleaned == ["after the refused move"]
    assert documents[-1][1]["exit_status"] == "abort"


def pause_in_mid_move(rig, when, plan):
    rig.x.free = False
    when(lambda: rig.x.moving, lambda: rig.RE.request_pause())
    with pytest.raises(RunEngineInterrupted):
        rig.RE(plan)
    assert rig.RE.state == "paused"


def test_a_paused_plan_is_aborted_and_never_resumed(rig, when, documents):
    cleaned = []
    pause_in_mid_move(rig, when, scan_with_clean_up(rig, cleaned))
    stop_all("smoke")
    with pytest.raises(StopLatched, match="resuming the plan was refused"):
        rig.RE.resume()
    rig.RE.plan_end.wait()
    assert rig.RE.state == "idle"
    assert cleaned == ["after the refused move"]
    assert documents[-1][1]["exit_status"] == "abort"


def test_in_mid_pause_the_clean_up_is_not_lost(rig, when):
    """The pause itself takes its time, since an axis brakes; aborted then, bluesky would drop the clean-up."""
    cleaned = []

    def stop_while_pausing():
        stop_all("smoke")
        rig.x.deaf = False

    rig.x.free, rig.x.deaf = False, True
    when(lambda: rig.x.moving, lambda: rig.RE.request_pause())
    when(lambda: "x stop" in rig.log, stop_while_pausing)
    with pytest.raises(RunEngineInterrupted, match="smoke"):
        rig.RE(scan_with_clean_up(rig, cleaned))
    assert rig.RE.state == "idle"
    assert cleaned == ["after the refused move"]


def test_after_a_stop_and_a_reset_that_it_did_not_hear_of_a_plan_is_not_resumed(rig, when, tmp_path):
    latch.attach(tmp_path / "lab")
    try:
        pause_in_mid_move(rig, when, bpp.run_wrapper(bps.mv(rig.x, 1)))
        elsewhere = Latch()
        elsewhere.attach(tmp_path / "lab")
        elsewhere.trip("smoke", "ada")
        elsewhere.save()
        elsewhere.clear("it was steam", "ada", elsewhere.trips)
        elsewhere.detach()
        assert not latch.tripped
        with pytest.raises(ResumeRefused, match="everything was stopped since this plan began"):
            rig.RE.resume()
        rig.RE.abort()
    finally:
        latch.detach()


def test_a_session_that_starts_stopped_says_so(tmp_path, monkeypatch, caplog, capsys):
    from rdaq_ophyd.startup._latched import latched

    monkeypatch.setenv("RDAQ_STATE", str(tmp_path))
    with latched("lab", person=False):
        pass
    assert "starts stopped" not in caplog.text
    trip_file(tmp_path / "latch" / "lab")
    with latched("lab", person=True):
        assert latch.tripped
        reset("looked", force=True)
    assert "starts stopped" in caplog.text
    assert "STOPPED: everything was stopped" in capsys.readouterr().err
    assert read_record(tmp_path / "latch" / "lab")["tripped"] is False
