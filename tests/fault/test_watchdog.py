"""A session that dies or hangs in mid-move: its watchdog stops the axis, proves it, and sets the latch."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rdaq_ophyd.errors import PortBusy, RdaqError
from rdaq_ophyd.link import SerialLink
from rdaq_ophyd.sim import Faults, SimEsp300, serve_pty
from rdaq_ophyd.stop import Latch, ask, latch, read_record, running
from rdaq_ophyd.watchdog import Guard

OWNER = Path(__file__).parent.parent / "lib" / "owner.py"


@contextmanager
def owner(port, latch: Path, what: str = "wait", bound: float = 10.0) -> Iterator[tuple[subprocess.Popen, int]]:
    """A process in mid-move on ``port``, and the pid of its watchdog."""
    command = [sys.executable, str(OWNER), port.url, str(latch), what, str(bound)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stdout.readline().split()
        assert said, process.stderr.read()
        wait(lambda: moving(port), "the axis moves")
        yield process, int(said[1])
    finally:
        process.kill()
        process.communicate()


def wait(condition, what: str) -> None:
    """Wait until ``condition()``, at most 20 s."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def moving(port) -> bool:
    """Whether axis 1 moves, as the simulated controller knows it."""
    return port.call(lambda now: port.instrument.axes[1].velocity(now) != 0)


def tripped(path: Path) -> bool:
    """What the latch file says."""
    there = Latch()
    there.attach(path)
    try:
        return there.tripped
    finally:
        there.detach()


@pytest.fixture
def port():
    """An ESP300 on a serial line at its true baud rate."""
    with serve_pty(SimEsp300(), lift_baud=False) as made:
        yield made


def test_killed_in_mid_move(port, tmp_path):
    with owner(port, tmp_path / "lab") as (process, dog):
        assert moving(port)
        process.kill()
        process.wait()
        wait(lambda: gone(dog), "the watchdog has ended")
        errors = process.stderr.read()
    assert not moving(port)
    assert b"ST\r" in port.log.bytes()
    record = read_record(tmp_path / "lab")
    assert record["tripped"]
    assert "died" in record["reason"]
    assert "unreachable" not in str(record["verdicts"]), record
    assert {v["device"]: v["outcome"] for v in record["verdicts"]} == {"stage-x": "confirmed", "stage-y": "confirmed"}
    assert "stage-x: confirmed" in errors
    assert tripped(tmp_path / "lab")


def test_the_port_is_nobodys_until_the_axis_stands(port, tmp_path):
    with owner(port, tmp_path / "lab") as (process, dog):
        os.kill(dog, signal.SIGSTOP)  # as slow as can be
        process.kill()
        process.wait()
        with pytest.raises(PortBusy):
            SerialLink(port.url).open()
        os.kill(dog, signal.SIGCONT)
        wait(lambda: gone(dog), "the watchdog has ended")
    link = SerialLink(port.url)
    link.open()
    link.close()


def test_a_session_that_hangs_is_stopped_and_ended(port, tmp_path):
    with owner(port, tmp_path / "lab", "gil60", bound=1.0) as (process, dog):
        wait(lambda: gone(dog), "the watchdog has ended")
        assert process.wait() == -signal.SIGKILL
    assert not moving(port)
    assert "silent for 1 s" in read_record(tmp_path / "lab")["reason"]


def test_a_session_that_comes_back_in_time_lives_on_latched(port, tmp_path):
    with owner(port, tmp_path / "lab", "gil1.5", bound=1.0) as (process, dog):
        wait(lambda: not moving(port), "the axis stands")
        assert process.stderr.readline().startswith("rdaq watchdog:")
        assert process.poll() is None
        assert not gone(dog)
        assert tripped(tmp_path / "lab")
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")


def test_asked_from_outside_while_the_session_keeps_the_interpreter(port, tmp_path):
    with owner(port, tmp_path / "lab", "gil5") as (process, dog):
        (runfile,) = [r for r in running() if r.pid == dog]
        assert runfile.watches == process.pid
        assert ask(runfile, 5.0, do="halt", reason="smoke", by="ada") == {"troubles": []}
        wait(lambda: not moving(port), "the axis stands")
        assert process.poll() is None
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")


def test_a_session_that_ends_well_leaves_no_latch(port, tmp_path):
    with owner(port, tmp_path / "lab", "leave") as (process, dog):
        assert process.wait(20) == 0
        assert gone(dog)
    assert read_record(tmp_path / "lab") is None
    assert not tripped(tmp_path / "lab")


def test_an_instrument_that_does_not_answer_is_said_to_be_unreachable(port, tmp_path):
    with owner(port, tmp_path / "lab") as (process, dog):
        port.faults = Faults(mute=True)
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")
        assert "look at the bench" in process.stderr.read()
    verdicts = read_record(tmp_path / "lab")["verdicts"]
    assert {v["outcome"] for v in verdicts} == {"unreachable"}


def test_a_watchdog_that_was_killed_is_replaced(port, tmp_path):
    with owner(port, tmp_path / "lab") as (process, dog):
        os.kill(dog, signal.SIGKILL)
        wait(lambda: any(r.watches == process.pid and r.pid != dog for r in running()), "there is another watchdog")
        (another,) = [r for r in running() if r.watches == process.pid]
        wait(lambda: ask(another, 5.0, do="status").get("ports") == [port.url], "it knows the port")
        process.kill()
        wait(lambda: gone(another.pid), "the second watchdog has ended")
    assert not moving(port)


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
