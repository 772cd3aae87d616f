"""A stop-all ends the plan in progress, whatever it is doing, and nothing goes on afterwards by itself."""

import contextlib

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import TransitionError
from planthread import PlanThread, wait

from rdaq_ophyd.errors import ResumeRefused, StopLatched, StopUnconfirmed
from rdaq_ophyd.stop import Latch, latch, read_record, reset, stop_all, trip_file
from rdaq_ophyd.stop._reset import doubtful_here


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


def test_a_latch_set_by_somebody_else_ends_the_plan_at_its_next_message(rig, documents):
    cleaned = []

    def work():
        latch.trip("from afar", "another process")  # no target of this process was told
        yield from bps.mv(rig.x, 1)

    def clean_up():
        yield from bps.mv(rig.x, 0)
        cleaned.append("after the refused move")

    with pytest.raises(RunEngineInterrupted, match="from afar"):
        rig.RE(bpp.run_wrapper(bpp.finalize_wrapper(work(), clean_up)))
    assert cleaned == ["after the refused move"]
    assert documents[-1][1]["exit_status"] == "abort"


@pytest.fixture
def stubborn(rig, monkeypatch):
    """A plan that moves ``x`` for ever, and leaves out what fails; it runs."""
    threads = []

    def moves():
        for number in range(1_000_000):
            try:
                yield from bps.mv(rig.x, number % 2)
                yield from bps.sleep(0.001)
            except Exception:  # noqa: BLE001 as careless plans do
                yield from bps.null()

    def begin(seconds):
        monkeypatch.setattr(rig.RE, "stopped_clean_up", seconds)
        threads.append(PlanThread(rig.RE, moves()))
        wait(lambda: "x moves to 1" in rig.log)
        return threads[0]

    yield begin
    with contextlib.suppress(TransitionError):
        rig.RE.halt()
    threads[0].end()


@pytest.mark.parametrize("seconds", [0.2, 60])
def test_a_plan_that_catches_its_end_does_not_go_on_after_a_reset(rig, stubborn, monkeypatch, seconds):
    monkeypatch.setattr("rdaq_ophyd.stop._reset.LASTING", 1.0)
    stubborn(seconds)
    stop_all("smoke")
    if seconds == 60:
        with pytest.raises(
            StopUnconfirmed, match=r"a plan that is being taken down \(its clean-up has 60 s; halt ends it\)"
        ):
            reset("it was steam")
        assert latch.tripped
        rig.RE.halt()
    rig.log.clear()
    reset("it was steam")
    assert rig.RE.turns.wait_over(0)
    assert rig.RE.state == "idle"
    assert not [line for line in rig.log if "moves" in line]


def test_a_reset_by_force_ends_it_at_once(rig, stubborn, caplog):
    thread = stubborn(60)
    stop_all("smoke")
    reset("it was steam", force=True)
    rig.log.clear()
    thread.end()
    assert not [line for line in rig.log if "moves" in line]
    assert rig.RE.state == "idle"


def test_another_process_hears_that_a_plan_is_not_over(rig, stubborn, monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.stop._reset.LASTING", 0.1)
    stubborn(60)
    stop_all("smoke")
    assert any("a plan that is being taken down" in left for left in doubtful_here("ada"))


def test_the_clean_up_of_an_end_that_was_asked_for_after_the_reset_is_done(rig, when, tmp_path):
    cleaned = []
    latch.attach(tmp_path / "lab")
    try:
        pause_in_mid_move(rig, when, scan_with_clean_up(rig, cleaned))
        latch.trip("from afar", "another process")  # no target of this process was told
        latch.clear("it was steam", "ada", latch.trips)
        rig.x.free = True
        rig.RE.abort()
    finally:
        latch.detach()
    assert "x moves to 0" in rig.log


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
