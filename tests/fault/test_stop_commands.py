"""``rdaq stop``, ``reset``, ``status`` against a process in mid-move, and against what it left behind."""

from __future__ import annotations

import re

import pytest
from watched import gone, moving, owner, wait

from rdaq_ophyd.cli import main
from rdaq_ophyd.stop import latch_path, trip_file


def test_stop_status_reset(esp300, state, capsys):
    with owner(esp300, latch_path("lab")) as (process, dog):
        assert main(["status"]) == 0
        assert "devices: stage-x, stage-y" in capsys.readouterr().out
        assert main(["trace", esp300.url]) == 0
        # The move, or where a busy machine came late, the questions behind it: the trace keeps the last of them.
        assert re.search(r"out +'1(PA20.0000000.rTB|MD|TP)\?.r'", capsys.readouterr().out)
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


def test_a_reason_of_blanks_is_none_and_resets_nothing(state, capsys):
    path = latch_path("lab")
    trip_file(path)
    assert main(["reset", "--force", "  "]) == 1
    assert "a reset needs a reason" in capsys.readouterr().err
    assert main(["status"]) == 1


def test_a_stray_file_among_the_latches_is_told_and_passed_over(state, capsys):
    path = latch_path("lab")
    path.parent.mkdir(parents=True)
    path.with_name("stray").write_text("not a latch at all")
    trip_file(path)
    assert main(["status"]) == 1
    said = capsys.readouterr()
    assert "rig lab, in no process now, is STOPPED: no record of why" in said.out
    assert "no latch file of this version" in said.err
    assert main(["reset", "looked"]) == 1
    assert "no device was asked since the stop, as far as the record tells" in capsys.readouterr().err
    assert main(["reset", "--force", "looked"]) == 1
    assert "rig lab: reset" in capsys.readouterr().out


def test_names_of_rigs_do_not_fall_together():
    assert len({latch_path(name) for name in ("a.b", "a b", "a_b", "a/b")}) == 4
    assert latch_path("lab").name == "lab"
