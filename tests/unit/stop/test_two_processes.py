"""Processes that share a rig, each with a device of the same name: no verdict of one takes the place of the other's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.errors import StopUnconfirmed
from rdaq_ophyd.stop import (
    Latch,
    Outcome,
    StopReport,
    Verdict,
    identity,
    latch,
    owner,
    read_record,
    register,
    reset,
    stop_all,
    unregister,
)
from rdaq_ophyd.stop._identity import is_gone, pid_of

OTHER = """
import json, os, sys
from pathlib import Path
from rdaq_ophyd.stop import Outcome, Verdict, latch, owner, register, reset, speak_for, stop_all
from rdaq_ophyd.errors import RdaqError

class Stage:
    first, bound = False, 0.5
    outcome = Outcome.CONFIRMED
    def devices(self): return ["x"]
    def halt(self): pass
    def confirm(self): return [Verdict("x", self.outcome)]
    recheck = confirm

latch.attach(Path(sys.argv[1]))
stage = Stage()
register(stage)
print(json.dumps(owner()), flush=True)
for line in sys.stdin:
    word, *rest = json.loads(line)
    try:
        match word:
            case "stop":
                stage.outcome = Outcome(rest[0])
                answer = str(stop_all("smoke", by="ada"))
            case "speak for":
                speak_for(rest[0])
                answer = owner()
            case "reset":
                reset("looked", by="ada")
                answer = "reset"
    except RdaqError as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
"""


class Other:
    """A process with a stage ``x`` of its own, which shares the latch."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.owner = json.loads(self.process.stdout.readline())

    def do(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait(20)
        self.process.stdin.close()
        self.process.stdout.close()


class Stage:
    """Ours."""

    first, bound = False, 0.5

    def __init__(self):
        self.outcome = Outcome.CONFIRMED

    def devices(self):
        return ["x"]

    def halt(self):
        pass

    def confirm(self):
        return [Verdict("x", self.outcome)]

    recheck = confirm


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("RDAQ_RUN", str(tmp_path / "run"))
    return tmp_path / "lab"


@contextmanager
def ours(path):
    """This process shares the latch from now on, with a stage ``x``."""
    latch.attach(path)
    stage = Stage()
    register(stage)
    try:
        yield stage
    finally:
        unregister(stage)
        latch.detach()


def told(path):
    return {(v["device"], v["process"]): v["outcome"] for v in read_record(path)["verdicts"]}


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_both_verdicts_are_kept_whoever_is_first(path, first):
    with Other(path) as other, ours(path):
        if first == "ours":
            stop_all("smoke")
            other.do("stop", "unreachable")
        else:
            other.do("stop", "unreachable")
            stop_all("smoke too")
        assert told(path) == {("x", owner()): "confirmed", ("x", other.owner): "unreachable"}
        with pytest.raises(StopUnconfirmed, match=rf"x: unreachable, of process {other.process.pid}"):
            reset("looked")
        assert latch.tripped
        other.do("stop", "confirmed")
        reset("looked again")
        assert not latch.tripped


def test_a_reset_there_asks_here_too(path):
    with Other(path) as other, ours(path) as stage:
        stage.outcome = Outcome.UNCONFIRMED
        stop_all("smoke")
        other.do("stop", "confirmed")
        assert "x: unconfirmed" in other.do("reset")
        stage.outcome = Outcome.CONFIRMED
        assert other.do("reset") == "reset"
        assert not latch.tripped


def test_what_a_process_said_before_it_died_holds_for_those_that_lived_beside_it(path):
    with Other(path) as other, ours(path):
        other.do("stop", "unreachable")
        stop_all("smoke too")
        other.kill()
        with pytest.raises(StopUnconfirmed, match=f"of process {pid_of(other.owner)}"):
            reset("looked")
        assert told(path)["x", other.owner] == "unreachable"


def test_a_process_that_begins_afterwards_has_the_device_and_judges_it(path):
    with Other(path) as other:
        other.do("stop", "unreachable")
        other.kill()
    with ours(path):
        assert [str(v) for v in latch.verdicts] == [f"x: unreachable, of process {pid_of(other.owner)}"]
        reset("looked")
        assert not latch.tripped
    log = [json.loads(line) for line in path.with_suffix(".log").read_text().splitlines()]
    assert [(v["process"], v["outcome"]) for v in log[-2]["verdicts"]] == [(owner(), "confirmed")]


def test_a_watchdog_speaks_for_its_session(path):
    with Other(path) as session, Other(path) as dog:
        session.do("stop", "unconfirmed")
        assert dog.do("speak for", session.process.pid) == session.owner
        session.kill()
        dog.do("stop", "confirmed")
        assert told(path) == {("x", session.owner): "confirmed"}


def test_a_record_that_does_not_say_whose_devices_they_are_is_read_and_replaced(path):
    old = Latch()
    old.attach(path)
    old.trip("smoke", "ada")
    old.note(StopReport("smoke", "ada", time.time(), (Verdict("x", Outcome.UNREACHABLE),)))
    old.detach()
    record = json.loads(path.with_suffix(".json").read_text())
    for verdict in record["verdicts"]:
        del verdict["process"]
    path.with_suffix(".json").write_text(json.dumps(record))
    with ours(path):
        assert [str(v) for v in latch.verdicts] == ["x: unreachable"]
        reset("looked")
        assert not latch.tripped


@given(st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("ab"), st.sampled_from(list(Outcome))), max_size=20))
def test_the_last_word_of_each_process_about_each_device_is_kept(said):
    judge, known = Latch(), ()
    for device, process, outcome in said:
        known = judge.judged(known, [Verdict(device, outcome, process=process)])
    assert {v.key: v.outcome for v in known} == {(d, p): o for d, p, o in said}


def test_numbers_of_processes_are_used_again():
    mine = identity(os.getpid())
    assert not is_gone(mine)
    number, began, boot = mine.split("-")
    assert is_gone(f"{number}-{int(began) + 1}-{boot}"), "another one with our number"
    assert is_gone(f"{number}-{began}-00000000"), "of another boot"
    assert not is_gone(number)
    assert is_gone("")
    assert is_gone("nonsense")


def test_one_that_has_ended_is_gone_before_anybody_asks_for_its_exit_code():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        told = identity(process.pid)
        assert not is_gone(told)
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(told)
