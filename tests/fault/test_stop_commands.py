"""``rdaq stop``, ``reset``, ``status`` against a process in mid-move, and against what it left behind."""

from __future__ import annotations

import re

import pytest
from watched import gone, moving, owner, wait

from rdaq_ophyd.cli import main
from rdaq_ophyd.stop import latch_path


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state and a run directory of the test's own."""
    monkeypatch.setenv("RDAQ_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RDAQ_RUN", str(tmp_path / "run"))


def test_stop_status_reset(esp300, state, capsys):
    with owner(esp300, latch_path("lab")) as (process, dog):
        assert main(["status"]) == 0
        assert "devices: stage-x, stage-y" in capsys.readouterr().out
        assert main(["trace", esp300.url]) == 0
        assert re.search(r"out +'1PA20.0000000.rTB\?.r'", capsys.readouterr().out)
        assert main(["trace", "ttyS99"]) == 1
        assert f"links here: {esp300.url}" in capsys.readouterr().err
        assert main(["stop", "smoke", "over", "there"]) == 0
        said = capsys.readouterr().out
        assert re.search(r"stage-x: confirmed\n  stage-y: confirmed", said)
        assert not moving(esp300)
        assert main(["status"]) == 1
        assert "STOPPED: everything was stopped at" in capsys.readouterr().out
        assert main(["reset", "was a cigarette"]) == 0
        assert main(["status"]) == 0
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")


def test_a_process_that_keeps_the_interpreter(esp300, state, capsys):
    with owner(esp300, latch_path("lab"), "gil20") as (process, dog):
        assert main(["stop", "--timeout", "0.5"]) == 1
        said = capsys.readouterr().out
        assert "did not answer within 0.5 s; nothing is confirmed" in said
        assert "its watchdog wrote the halts" in said
        wait(lambda: not moving(esp300), "the axis stands")
        assert process.poll() is None
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")


def test_reset_after_the_process_is_gone(esp300, state, capsys):
    with owner(esp300, latch_path("lab")) as (process, dog):
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")
    assert main(["status"]) == 1
    assert "rig lab, in no process now, is STOPPED: its session died" in capsys.readouterr().out
    assert main(["reset", "looked"]) == 0
    assert "rig lab: reset" in capsys.readouterr().out
    assert main(["status"]) == 0


def test_nothing_to_stop(state, capsys):
    assert main(["stop"]) == 1
    assert "nothing was stopped" in capsys.readouterr().err
    assert main(["trace", "ttyUSB0"]) == 1
    assert main(["stop", "--timeout", "0"]) == 1
    assert "--timeout 0 is out of range" in capsys.readouterr().err


def test_a_reset_needs_a_reason(state):
    with pytest.raises(SystemExit):
        main(["reset"])
