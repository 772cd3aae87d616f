"""Signals to a real process on a terminal, its axis on a serial line at true baud: what the instrument heard."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pexpect
import pytest

from rdaq_ophyd.sim import SimEsp300, serve_pty
from rdaq_ophyd.stop import latch_path, read_record

PROGRAM = Path(__file__).parents[1] / "lib" / "signalled.py"
STOP = b"ST\r"


class Program:
    """The program on a terminal of its own."""

    def __init__(self, url):
        self.child = pexpect.spawn(sys.executable, [str(PROGRAM), url], encoding="utf-8", timeout=30)
        self.child.logfile_read = sys.stdout  # pytest shows it where a test fails

    def heard(self, words) -> int:
        """Wait until it says so; when it said it."""
        self.child.expect(rf"SAID {words}[^\n]* at (\d+)")
        return int(self.child.match.group(1))

    def heard_all(self, *patterns):
        """Wait for all of them, in any order."""
        left = list(patterns)
        while left:
            left.pop(self.child.expect(left))

    def __call__(self, word):
        self.child.sendline(word)

    def kill(self, number):
        os.kill(self.child.pid, number)

    def exit_code(self):
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


@pytest.fixture(scope="module")
def esp300():
    with serve_pty(SimEsp300()) as port:
        yield port


@pytest.fixture
def program(esp300):
    made = Program(esp300.url)
    made.heard("ready")
    yield made
    made.child.close(force=True)
    shutil.rmtree(latch_path("signalled").parent, ignore_errors=True)


def velocity(esp300):
    return esp300.call(lambda now: esp300.instrument.axes[1].velocity(now))


def until(condition, what):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.002)


def stops(esp300, since):
    return [t for t in esp300.log.arrivals(STOP) if t > since]


def move(program, esp300):
    program("move")
    began = program.heard("moving")
    until(lambda: velocity(esp300) > 0, "the axis moves")
    return began


def test_ctrl_c_once_twice_and_at_the_prompt(program, esp300):
    # Once: the stop is on the wire before the engine pauses; 39 s before the move would have ended.
    began = move(program, esp300)
    program.child.sendintr()
    paused = program.heard("paused")
    assert any(t < paused for t in stops(esp300, began))
    program("abort")
    program.heard("clean-up")
    program.heard("aborted idle")
    assert read_record(latch_path("signalled")) is None

    # Twice: everything, the plan is over, and the verdict is told.
    began = move(program, esp300)
    program.child.sendintr()
    until(lambda: stops(esp300, began), "the first stop")
    program.child.sendintr()
    program.heard_all("stopped everything at .*Ctrl-C twice", "stage-x: confirmed", "SAID idle the plan is over")
    program("move")
    program.child.expect("StopLatched")
    assert program.exit_code() == 1
    assert read_record(latch_path("signalled"))["tripped"]


def test_told_to_end_in_mid_move(program, esp300):
    began = move(program, esp300)
    program.kill(signal.SIGTERM)
    program.kill(signal.SIGTERM)  # as `timeout` does
    cleaned_up = program.heard("cleaned up")
    assert any(t < cleaned_up for t in stops(esp300, began))
    program.heard("closed")
    assert program.exit_code() == 128 + signal.SIGTERM
    assert read_record(latch_path("signalled"))["reason"] == "SIGTERM"
    assert velocity(esp300) == 0


def test_with_no_plan_ctrl_c_is_what_it_always_was_and_sigterm_ends(program, esp300):
    program("wait")
    program.heard("waiting")
    program.child.sendintr()
    program.heard("interrupted")
    program("wait")
    began = program.heard("waiting")
    program.kill(signal.SIGTERM)
    program.heard("closed")
    assert program.exit_code() == 128 + signal.SIGTERM
    assert stops(esp300, began)


def test_ctrl_c_counts_at_once_whichever_thread_gets_it(program, esp300):
    program("astray")
    began = program.heard("moving")
    paused = program.heard("paused")  # within 30 s; the move takes 40
    assert any(t < paused for t in stops(esp300, began))
    program("abort")
    program.heard("aborted idle")


def test_what_python_drops_while_it_collects_garbage_is_not_lost(program, esp300):
    program("collect")
    program.heard("collecting")
    program.child.sendintr()
    program.heard("interrupted")
    program("collect")
    program.heard("collecting")
    program.kill(signal.SIGTERM)
    program.heard("closed")
    assert program.exit_code() == 128 + signal.SIGTERM


def test_a_clean_up_that_never_ends_does_not_keep_the_process(program, esp300):
    program("hang")
    program.heard("moving")
    until(lambda: velocity(esp300) > 0, "the axis moves")
    program.kill(signal.SIGTERM)
    program.heard("clean-up")
    program.heard("closed")
    assert program.exit_code() == 128 + signal.SIGTERM


def test_a_terminal_that_is_gone_does_not_lose_the_abort(program, esp300):
    began = move(program, esp300)
    program.child.ptyproc.fileobj.close()  # the kernel sends SIGHUP
    until(lambda: stops(esp300, began), "the stop")
    until(lambda: read_record(latch_path("signalled")), "the record of the stop")
    until(lambda: velocity(esp300) == 0, "the axis stands")
    program.child.ptyproc.fd = program.child.child_fd = -1
    program.child.ptyproc.closed = program.child.closed = True
    _, status = os.waitpid(program.child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    program.child.terminated = program.child.ptyproc.terminated = True
