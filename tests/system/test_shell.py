"""The shell as a person at a terminal uses it: a real pty, real IPython, simulated instruments on serial devices."""

import os
import re
import sys

import pexpect
import pytest

pytestmark = pytest.mark.timeout(180)
PROMPT = r"In \[\d+\]: "


@pytest.fixture(scope="module")
def shell(profile_path, data_dir, nothing_left_by_module):
    """`rdaq shell` on a terminal, up to its first prompt."""
    env = {**os.environ, "TERM": "dumb", "IPYTHONDIR": str(data_dir / "ipython")}
    command = [
        "-m",
        "rdaq_ophyd.cli",
        "shell",
        str(profile_path),
        "--data",
        str(data_dir),
        "--simple-prompt",
        "--colors=NoColor",
    ]
    child = pexpect.spawn(sys.executable, command, env=env, encoding="utf-8", timeout=60, dimensions=(40, 200))
    child.expect("rig test: stage, x, y, power_meter, cam")
    child.expect(PROMPT)
    yield child
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


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
    shell.sendline("<bp.scan([power_meter], x, 0, 24, 500)")
    shell.expect("New stream: 'primary'")
    shell.sendintr()
    shell.expect("RunEngineInterrupted")
    shell.expect(PROMPT)
    assert "paused" in say(shell, "RE.state", "paused")
    say(shell, "RE.abort()", "RunEngineResult")
    assert "abort" in say(shell, "c[-1].metadata['stop']['exit_status']", "'abort'")
    say(shell, "%stop")
