"""The latch: set without a lock, kept in a file, taken back only with a reason."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.errors import RdaqError, StopLatched, StopUnconfirmed
from rdaq_ophyd.stop import (
    Latch,
    Outcome,
    StopReport,
    Verdict,
    halt_all,
    latch,
    read_record,
    register,
    reset,
    stop_all,
    trip_file,
    unregister,
)


class Stage:
    """A target whose answer the test decides."""

    def __init__(self, name="x", *, first=False, outcome=Outcome.CONFIRMED, log=None, error=None):
        self.name, self.first, self.outcome, self.error = name, first, outcome, error
        self.log = [] if log is None else log
        self.bound = 0.2

    def devices(self):
        return [self.name]

    def halt(self):
        self.log.append((self.name, latch.tripped))
        if self.error is not None:
            raise self.error

    def recheck(self):
        return self.confirm()

    def confirm(self):
        return [Verdict(self.name, self.outcome)]


@pytest.fixture
def targets():
    """Registers what is appended, for the test's time."""
    made = []

    def add(target):
        register(target)
        made.append(target)
        return target

    yield add
    for target in made:
        unregister(target)


def test_refuses_with_who_when_why_and_what_to_do():
    fresh = Latch()
    fresh.check("a move")
    fresh.trip("smoke", "ada")
    with pytest.raises(StopLatched, match=r"a move was refused: everything was stopped at .* by ada: smoke → .*reset"):
        fresh.check("a move")


def test_survives_its_process(tmp_path):
    path = tmp_path / "latch" / "lab"
    code = f"""
from pathlib import Path
from rdaq_ophyd.stop import latch, stop_all
latch.attach(Path({str(path)!r}))
stop_all("smoke", by="ada")
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    later = Latch()
    later.attach(path)
    assert later.tripped
    assert later.why.endswith("by ada: smoke")
    later.detach()


def test_another_process_sees_it_at_once(tmp_path):
    mine, theirs = Latch(), Latch()
    mine.attach(tmp_path / "lab")
    theirs.attach(tmp_path / "lab")
    trip_file(tmp_path / "lab")
    assert mine.tripped
    assert theirs.tripped
    with pytest.raises(StopLatched, match="does not say why"):
        mine.check("a move")
    mine.trip("smoke", "ada")
    mine.note(StopReport("smoke", "ada", 0.0, ()))
    assert theirs.why.endswith("by ada: smoke")
    mine.detach()
    theirs.detach()


def test_tripped_before_it_had_a_file(tmp_path):
    fresh = Latch()
    fresh.trip("smoke", "ada")
    fresh.attach(tmp_path / "lab")
    record = read_record(tmp_path / "lab")
    assert record is not None
    assert record["tripped"]
    assert record["reason"] == "smoke"
    fresh.detach()
    assert fresh.tripped


@pytest.mark.parametrize("content", [b"garbage that is long enough", b"rdaqlatch 2\n\0\0\0\0", b"rdaq"])
def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path, content):
    (tmp_path / "lab").write_bytes(content)
    with pytest.raises(RdaqError, match="no latch file of this version"):
        Latch().attach(tmp_path / "lab")
    assert (tmp_path / "lab").read_bytes() == content


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RdaqError, match="RDAQ_STATE"):
        Latch().attach(tmp_path / "file" / "lab")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99, "tripped": true}', '{"version": 1}'])
def test_a_broken_record_still_leaves_the_flag(tmp_path, text):
    trip_file(tmp_path / "lab")
    (tmp_path / "lab.json").write_text(text)
    fresh = Latch()
    fresh.attach(tmp_path / "lab")
    assert fresh.tripped
    assert "does not say why" in fresh.why
    fresh.detach()


def test_light_first_and_the_latch_before_all(targets):
    log = []
    targets(Stage("x", log=log))
    targets(Stage("laser", first=True, log=log))
    report = stop_all("smoke")
    assert log == [("laser", True), ("x", True)]
    assert [v.device for v in report.verdicts] == ["laser", "x"]
    assert not report.unconfirmed


def test_one_that_fails_does_not_keep_the_others(targets):
    log = []
    targets(Stage("x", log=log, error=OSError("gone")))
    targets(Stage("y", log=log, outcome=Outcome.UNREACHABLE))
    report = stop_all("smoke")
    assert [name for name, _ in log] == ["x", "y"]
    assert [v.device for v in report.unconfirmed] == ["y"]
    assert "y: unreachable" in str(report)


def test_one_that_never_answers_gets_a_verdict(targets, monkeypatch):
    import threading

    release = threading.Event()
    stage = targets(Stage("x"))
    stage.confirm = lambda: release.wait(20) and []
    monkeypatch.setattr("rdaq_ophyd.stop._stop_all.MARGIN", 0.05)
    report = stop_all("smoke")
    release.set()
    assert report.verdicts[0].outcome is Outcome.UNCONFIRMED
    assert "no answer in time" in report.verdicts[0].detail


def test_reset_needs_a_reason_and_confirmed_devices(targets, tmp_path):
    latch.attach(tmp_path / "lab")
    stage = targets(Stage("x", outcome=Outcome.UNCONFIRMED))
    stop_all("smoke")
    with pytest.raises(RdaqError, match="needs a reason"):
        reset(" ")
    with pytest.raises(StopUnconfirmed, match="x: unconfirmed"):
        reset("looked")
    assert latch.tripped
    stage.outcome = Outcome.CONFIRMED
    reset("looked")
    assert not latch.tripped
    log = [json.loads(line) for line in (tmp_path / "lab.log").read_text().splitlines()]
    said = [(entry["tripped"], entry["reason"]) for entry in log]
    assert said == [(True, "smoke"), (True, "smoke"), (False, "reset: looked")]
    assert [entry["verdicts"][0]["outcome"] for entry in log[:2]] == ["unconfirmed", "confirmed"]
    latch.detach()


def test_reset_of_a_stop_by_a_process_that_is_gone(tmp_path):
    theirs = Latch()
    theirs.attach(tmp_path / "lab")
    theirs.trip("smoke", "ada")
    theirs.note(StopReport("smoke", "ada", 0.0, (Verdict("x", Outcome.UNREACHABLE, detail="port gone"),)))
    theirs.detach()
    latch.attach(tmp_path / "lab")
    with pytest.raises(StopUnconfirmed, match="x: unreachable"):
        reset("looked")
    reset("stands still, I looked", force=True)
    assert not latch.tripped
    latch.detach()


def test_a_trip_while_a_reset_is_under_way_stays(targets):
    stage = targets(Stage("x", outcome=Outcome.UNCONFIRMED))
    stop_all("smoke")

    def confirm_and_trip():
        latch.trip("again", "bob")
        return [Verdict("x", Outcome.CONFIRMED)]

    stage.confirm = confirm_and_trip
    with pytest.raises(StopUnconfirmed, match="not reset: meanwhile everything was stopped at .* by bob: again"):
        reset("looked")
    assert latch.tripped
    assert latch.why.endswith("by bob: again")


def test_a_reset_while_nobody_has_confirmed_asks_everybody(targets):
    stage = targets(Stage("x", outcome=Outcome.UNCONFIRMED))
    halted = halt_all("smoke")
    with pytest.raises(StopUnconfirmed, match="x: unconfirmed"):
        reset("looked")
    stage.outcome = Outcome.CONFIRMED
    reset("looked")
    halted.confirm()  # late: it must not bring the stop back, nor hide the next one
    assert not latch.tripped
    assert latch.foreign is None
    latch.trip("again", "bob")
    assert latch.verdicts is None


def test_a_stop_by_another_process_is_heard_of_after_each_reset(tmp_path):
    theirs = Latch()
    theirs.attach(tmp_path / "lab")
    latch.attach(tmp_path / "lab")
    for reason in ("smoke", "fire"):
        assert latch.foreign is None
        theirs.trip(reason, "ada")
        theirs.note(StopReport(reason, "ada", time.time(), ()))
        assert latch.foreign.reason == reason
        assert latch.foreign is None  # heard of
        theirs.clear("looked", "ada", theirs.trips)
    latch.detach()
    theirs.detach()


def test_a_disk_that_is_full_does_not_undo_a_reset(tmp_path, monkeypatch):
    latch.attach(tmp_path / "lab")
    stop_all("smoke")
    monkeypatch.setattr(Path, "write_text", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(RdaqError, match="No space left"):
        reset("looked")
    assert not latch.tripped
    trip_file(tmp_path / "lab")
    assert latch.foreign is not None
    latch.detach()


def test_processes_that_share_a_rig_do_not_forget_each_others_verdicts(tmp_path, targets):
    theirs = Latch()
    theirs.attach(tmp_path / "lab")
    latch.attach(tmp_path / "lab")
    targets(Stage("x"))
    theirs.trip("smoke", "ada")
    theirs.note(StopReport("smoke", "ada", time.time(), (Verdict("laser", Outcome.UNREACHABLE),)))
    stop_all("smoke too")
    with pytest.raises(StopUnconfirmed, match="laser: unreachable"):
        reset("looked")
    assert theirs.tripped
    theirs.note(StopReport("smoke", "ada", time.time(), (Verdict("laser", Outcome.CONFIRMED),)))
    reset("looked")
    assert not theirs.tripped
    theirs.trip("again", "ada")
    theirs.note(StopReport("again", "ada", time.time(), ()))
    assert read_record(tmp_path / "lab")["verdicts"] == []
    theirs.detach()
    latch.detach()


def test_a_stop_by_another_process_while_a_reset_is_decided_stays(tmp_path, targets):
    theirs = Latch()
    theirs.attach(tmp_path / "lab")
    latch.attach(tmp_path / "lab")
    stage = targets(Stage("x", outcome=Outcome.UNCONFIRMED))
    stop_all("smoke")

    def confirm_meanwhile():
        theirs.trip("fire", "bob")
        return [Verdict("x", Outcome.CONFIRMED)]

    stage.confirm = confirm_meanwhile
    with pytest.raises(StopUnconfirmed, match="not reset: meanwhile"):
        reset("looked")
    assert latch.tripped
    assert theirs.tripped
    stage.confirm = lambda: [Verdict("x", Outcome.CONFIRMED)]
    reset("looked again")
    assert not theirs.tripped
    theirs.detach()
    latch.detach()


def test_verdicts_of_an_earlier_stop_do_not_count_for_a_later_one(tmp_path, targets):
    latch.attach(tmp_path / "lab")
    stage = targets(Stage("x"))
    stop_all("smoke")
    stage.outcome = Outcome.UNCONFIRMED
    halt_all("fire")
    with pytest.raises(StopUnconfirmed, match="x: unconfirmed"):
        reset("looked")
    assert latch.tripped
    latch.detach()


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["trip mine", "trip theirs", "reset mine", "reset theirs", "late reset"]), max_size=40))
def test_tripped_until_a_reset_that_knew_of_every_trip(tmp_path_factory, what):
    folder = tmp_path_factory.mktemp("latch")
    mine, theirs = Latch(), Latch()
    mine.attach(folder / "lab")
    theirs.attach(folder / "lab")
    expected, late = False, mine.trips
    for step in what:
        do, _, who = step.partition(" ")
        one = theirs if who == "theirs" else mine
        if do == "trip":
            one.trip("smoke", who)
            expected = True
        elif do == "reset":
            one.clear("looked", who, late := one.trips)
            expected = False
        else:
            known = late == mine.trips
            mine.clear("decided long ago", who, late)
            expected = expected and not known
        assert mine.tripped == theirs.tripped == expected
    mine.detach()
    theirs.detach()


def test_a_latch_file_that_was_removed_hides_no_verdict(tmp_path, targets, caplog):
    latch.attach(tmp_path / "gone" / "lab")
    targets(Stage("x"))
    shutil.rmtree(tmp_path / "gone")
    assert [v.outcome for v in stop_all("smoke").verdicts] == [Outcome.CONFIRMED]
    assert "the record of the stop was not written" in caplog.text
    latch.detach()
