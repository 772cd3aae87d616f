"""The shell as a person at a terminal uses it: a real pty, real IPython, simulated instruments on serial devices."""

import os
import re
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pexpect
import pytest
from benchmarks._profile import simulated
from planthread import wait
from prompt_toolkit import PromptSession
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import DummyOutput
from untraced import RDAQ

from rdaq_ophyd.ipython._stopped import follow_signals
from rdaq_ophyd.stop import latch_path

pytestmark = pytest.mark.timeout(180)
PROMPT = r"In \[\d+\]: "


def started(profile_path, data_dir):
    """`rdaq shell` on a terminal, up to its first prompt."""
    env = {**os.environ, "TERM": "dumb", "IPYTHONDIR": str(data_dir / "ipython")}
    options = ["--data", str(data_dir), "--simple-prompt", "--colors=NoColor"]
    program, *command = [*RDAQ, "shell", str(profile_path), *options]
    child = pexpect.spawn(program, command, env=env, encoding="utf-8", timeout=60, dimensions=(40, 200))
    child.logfile_read = sys.stdout  # pytest shows it where a test fails
    return child


@pytest.fixture(scope="module")
def shell(profile_path, data_dir, nothing_left_by_module):
    """The shell of most tests; the last one ends it."""
    child = started(profile_path, data_dir)
    child.expect("rig test: stage, x, y, power_meter, cam")
    child.expect(PROMPT)
    yield child
    child.close(force=True)
    shutil.rmtree(latch_path("test").parent, ignore_errors=True)


def reads(child) -> bool:
    """Whether it waits for keys. A signal that comes between a prompt of Python's ``input`` and that waits for one."""
    return Path(f"/proc/{child.pid}/wchan").read_text() in ("wait_woken", "n_tty_read")


def told_to_end(child) -> int:
    """Its exit code after SIGTERM."""
    os.kill(child.pid, signal.SIGTERM)
    if child.expect([pexpect.EOF, pexpect.TIMEOUT]):
        os.kill(child.pid, signal.SIGABRT)  # faulthandler then tells where each thread is
        child.expect(pexpect.EOF)
        said = child.before.partition("Fatal Python error")
        raise AssertionError(f"still there 60 s after SIGTERM: {said[0][-3000:]} … {said[2][-3000:]}")
    child.close()
    return child.exitstatus


def say(shell, line: str, expected: str = "") -> str:
    """Type a line; what the shell printed until the next prompt."""
    shell.sendline(line)
    if expected:
        shell.expect(expected)
        found = shell.after
    else:
        found = ""
    shell.expect(PROMPT)
    return found + shell.before


def test_where_all_axes_are_with_limits_and_units(shell):
    text = say(shell, "%wa", r"axis +readback")
    assert re.search(r"x +-?[\d.]+ +-?[\d.]+ +-25 +25 +mm", text)


def test_moving_with_and_without_units(shell):
    say(shell, "<enable(x, y)")
    assert re.search(r"x +0\.5000", say(shell, "%mov x 0.5 mm y 1"))
    assert re.search(r"x +0\.4000", say(shell, "%movr x -0.1"))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("%mov x 3 um", r"UnitsError: x moves in mm, not 'um'"),
        ("%mov x 99", r"LimitError: x: target 99 mm is outside the software limits → allowed: -25 to 25 mm"),
        ("%mov x nan", r"LimitError: x: nan is not a finite position"),
        ("%mov xx 1", r"UnknownName: unknown device 'xx' → did you mean x\?"),
        ("%mov x", r"RdaqError: no position given for x"),
        ("%mov power_meter 1", r"RdaqError: power_meter is a Newport1830C, not an axis"),
        ("%mov x fast", r"RdaqError: x: 'fast' is not a position"),
        ("%mov", r"RdaqError: nothing to move"),
        ("%restore nowhere", r"UnknownName: unknown position 'nowhere'"),
    ],
)
def test_mistakes_are_answered_in_one_line(shell, line, error):
    assert "Traceback" not in say(shell, line, error)


def test_positions_are_saved_and_restored(shell):
    assert "focus: x=" in say(shell, "%save focus x")
    say(shell, "%movr x 0.2")
    say(shell, "%restore focus")
    assert "focus: x=" in say(shell, "%restore")


def test_a_plan_line_a_count_and_the_catalog(shell):
    say(shell, "<bp.count([power_meter], 2)", r"generator count")
    say(shell, "%ct power_meter", r"generator count")
    assert "BlueskyRun" in say(shell, "c[-1]", "BlueskyRun")


def test_awaiting_a_signal(shell):
    say(shell, "await x.velocity.get_value()", r"\d+\.\d+")


def test_ctrl_c_stops_and_pauses_and_the_run_can_be_aborted(shell):
    say(shell, "%mov x 0")
    # Many points: the plan must still run when its first lines were seen, however busy the machine is.
    say(shell, "<enable(x)")
    shell.sendline("<bp.scan([power_meter], x, 0, 24, 500)")
    shell.expect("New stream: 'primary'")
    shell.sendintr()
    shell.expect("RunEngineInterrupted")
    shell.expect(PROMPT)
    assert "paused" in say(shell, "RE.state", "paused")
    say(shell, "RE.abort()", "RunEngineResult")
    assert "abort" in say(shell, "c[-1].metadata['stop']['exit_status']", "'abort'")
    say(shell, "%stop")


def test_stop_all_refuses_everything_until_the_reset(shell):
    say(shell, "%stop_all smoke in the lab", "x: confirmed")
    assert "[STOPPED] " in shell.before
    assert "smoke in the lab" in say(shell, "%mov x 1", "StopLatched: a plan was refused")
    say(shell, "%reset_stop", "RdaqError: a reset needs a reason")
    say(shell, "%reset_stop it was steam")
    assert "[STOPPED] " not in shell.before
    assert re.search(r"x +0\.2000", say(shell, "%mov x 0.2"))


def test_at_a_prompt_that_reads_keys_the_second_ctrl_c_counts():
    told = []
    signals = SimpleNamespace(just_interrupted=True, stop_everything=told.append, leave=None)
    with create_pipe_input() as keys:
        prompt = PromptSession(key_bindings=KeyBindings(), input=keys, output=DummyOutput())
        follow_signals(SimpleNamespace(mainloop=None, pt_app=prompt), SimpleNamespace(signals=signals))
        keys.send_text("\x03x\r")
        assert prompt.prompt() == "x"
        assert told == ["Ctrl-C twice"]
        signals.just_interrupted = False
        keys.send_text("\x03")
        with pytest.raises(KeyboardInterrupt):
            prompt.prompt()


def test_told_to_end_in_a_plan_and_at_the_prompt(shell, bench, data_dir, tmp_path):
    say(shell, "<enable(x)")
    shell.sendline("<bp.scan([power_meter], x, 0, 24, 500)")
    shell.expect("New stream: 'primary'")
    assert told_to_end(shell) == 128 + signal.SIGTERM
    assert "Traceback" not in shell.before
    (tmp_path / "again.py").write_text(simulated("test", bench.ports, delivered=False))
    child = started(tmp_path / "again.py", data_dir)
    child.expect("STOPPED: everything was stopped at .*: SIGTERM")
    child.expect(PROMPT)
    wait(lambda: reads(child))
    assert told_to_end(child) == 128 + signal.SIGTERM
