"""A session that dies or hangs in mid-move: its watchdog stops the axis, proves it, and sets the latch."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from watched import gone, moving, owner, wait

from rdaq_ophyd.errors import PortBusy, RdaqError
from rdaq_ophyd.link import SerialLink
from rdaq_ophyd.sim import Faults
from rdaq_ophyd.stop import (
    Latch,
    Outcome,
    Verdict,
    ask,
    latch,
    read_record,
    register,
    running,
    trip_file,
    unregister,
)
from rdaq_ophyd.watchdog import Guard


def tripped(path: Path) -> bool:
    """What the latch file says."""
    there = Latch()
    there.attach(path)
    try:
        return there.tripped
    finally:
        there.detach()


def test_killed_in_mid_move(esp300, tmp_path):
    with owner(esp300, tmp_path / "lab") as (process, dog):
        assert moving(esp300)
        process.kill()
        process.wait()
        wait(lambda: gone(dog), "the watchdog has ended")
        errors = process.stderr.read()
    assert not moving(esp300)
    assert b"ST\r" in esp300.log.bytes()
    record = read_record(tmp_path / "lab")
    assert record["tripped"]
    assert "died" in record["reason"]
    assert "unreachable" not in str(record["verdicts"]), record
    assert {v["device"]: v["outcome"] for v in record["verdicts"]} == {"stage-x": "confirmed", "stage-y": "confirmed"}
    assert "stage-x: confirmed" in errors
    assert tripped(tmp_path / "lab")


def test_the_port_is_nobodys_until_the_axis_stands(esp300, tmp_path):
    with owner(esp300, tmp_path / "lab") as (process, dog):
        os.kill(dog, signal.SIGSTOP)  # as slow as can be
        process.kill()
        process.wait()
        with pytest.raises(PortBusy):
            SerialLink(esp300.url).open()
        os.kill(dog, signal.SIGCONT)
        wait(lambda: gone(dog), "the watchdog has ended")
    link = SerialLink(esp300.url)
    link.open()
    link.close()


def test_a_session_that_hangs_is_stopped_and_ended(esp300, tmp_path):
    with owner(esp300, tmp_path / "lab", "gil60", bound=1.0) as (process, dog):
        wait(lambda: gone(dog), "the watchdog has ended")
        assert process.wait() == -signal.SIGKILL
    assert not moving(esp300)
    assert "silent for 1 s" in read_record(tmp_path / "lab")["reason"]


def test_a_session_that_comes_back_in_time_lives_on_latched(esp300, tmp_path):
    with owner(esp300, tmp_path / "lab", "gil1.5", bound=1.0) as (process, dog):
        wait(lambda: not moving(esp300), "the axis stands")
        assert process.stderr.readline().startswith("rdaq watchdog:")
        assert process.poll() is None
        assert not gone(dog)
        assert tripped(tmp_path / "lab")
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")


def test_asked_from_outside_while_the_session_keeps_the_interpreter(esp300, tmp_path):
    with owner(esp300, tmp_path / "lab", "gil5") as (process, dog):
        (runfile,) = [r for r in running() if r.pid == dog]
        assert runfile.watches == process.pid
        assert ask(runfile, 5.0, do="halt", reason="smoke", by="ada") == {"troubles": []}
        wait(lambda: not moving(esp300), "the axis stands")
        assert process.poll() is None
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")


def test_a_session_that_ends_well_leaves_no_latch(esp300, tmp_path):
    with owner(esp300, tmp_path / "lab", "leave") as (process, dog):
        process.stdin.write("leave\n")
        process.stdin.flush()
        assert process.wait(20) == 0
        assert gone(dog)
    assert read_record(tmp_path / "lab") is None
    assert not tripped(tmp_path / "lab")


def test_an_instrument_that_does_not_answer_is_said_to_be_unreachable(esp300, tmp_path):
    with owner(esp300, tmp_path / "lab") as (process, dog):
        esp300.faults = Faults(mute=True)
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")
        assert "look at the bench" in process.stderr.read()
    verdicts = read_record(tmp_path / "lab")["verdicts"]
    assert {v["outcome"] for v in verdicts} == {"unreachable"}


def test_a_watchdog_that_was_killed_is_replaced(esp300, tmp_path):
    with owner(esp300, tmp_path / "lab") as (process, dog):
        os.kill(dog, signal.SIGKILL)
        wait(lambda: any(r.watches == process.pid and r.pid != dog for r in running()), "there is another watchdog")
        (another,) = [r for r in running() if r.watches == process.pid]
        wait(lambda: ask(another, 5.0, do="status").get("ports") == [esp300.url], "it knows the port")
        process.kill()
        wait(lambda: gone(another.pid), "the second watchdog has ended")
    assert not moving(esp300)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "1e9"])
def test_a_bound_that_is_none(monkeypatch, text):
    monkeypatch.setenv("RDAQ_WATCHDOG", text)
    with pytest.raises(RdaqError, match=r"RDAQ_WATCHDOG=.* 1 to 3600 seconds, or off"):
        Guard()


def test_off(monkeypatch, caplog):
    monkeypatch.setenv("RDAQ_WATCHDOG", "off")
    with Guard() as guard:
        assert guard.pid is None
    assert "no watchdog" in caplog.text


def test_an_event_loop_that_hangs_stops_everything(monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.watchdog._guard.LOOP_BOUND", 0.2)
    loop = asyncio.new_event_loop()
    release = threading.Event()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with Guard(loop=loop):
            loop.call_soon_threadsafe(release.wait)
            wait(lambda: latch.tripped, "everything is stopped")
            assert "the event loop hung" in latch.why
            release.set()
    finally:
        release.set()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_waiting_for_verdicts_is_no_silence(tmp_path):
    """A device that takes longer to confirm than the watchdog's bound."""

    class Slow:
        first, bound, released, halted = False, 20.0, threading.Event(), threading.Event()

        def devices(self):
            return ["slow"]

        def halt(self):
            self.halted.set()

        def recheck(self):
            return self.confirm()

        def confirm(self):
            self.released.wait(20)
            return [Verdict("slow", Outcome.CONFIRMED)]

    slow = Slow()
    latch.attach(tmp_path / "lab")
    register(slow)
    try:
        with Guard(1.0) as guard:
            dog = guard.pid
            guard.sync()
            trip_file(tmp_path / "lab")
            assert slow.halted.wait(20), "it is heard of"
            end = time.monotonic() + 2.0  # twice the bound
            wait(lambda: time.monotonic() > end, "twice the bound has passed")
            assert guard.pid == dog
            assert not gone(dog)
            slow.released.set()
    finally:
        slow.released.set()
        unregister(slow)
        wait(lambda: not [t for t in threading.enumerate() if t.name == "rdaq-stop"], "it is confirmed")
        latch.detach()


def test_a_child_that_the_session_forked_does_not_hide_its_death(esp300, tmp_path):
    with owner(esp300, tmp_path / "lab", "fork") as (process, dog):
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")
    assert not moving(esp300)
