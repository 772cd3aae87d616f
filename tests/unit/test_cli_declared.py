"""``rdaq new instrument``, ``rdaq check`` and ``rdaq sim FILE``."""

import json
import re
import select
import subprocess
import sys

import pytest

from rdaq_ophyd.cli import main
from rdaq_ophyd.sim.__main__ import main as sim_main


@pytest.fixture
def rdaq(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        try:
            code = main(words)
        except SystemExit as end:  # argparse's way out
            code = end.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_a_new_instrument_is_right_at_once(rdaq, tmp_path):
    code, out, _ = rdaq("new", "instrument", "lamp")
    assert (code, out) == (0, f"{tmp_path / 'lamp.toml'}\n")
    code, out, _ = rdaq("check", "lamp.toml")
    assert code == 0
    assert "lamp: Somebody Model 1, 4 signals, 1 commands" in out
    assert "understands every question" in out
    code, out, _ = rdaq("check", "lamp.toml", "--run")
    assert code == 0
    assert out.count("ok      ") == 14
    assert "-       TCP: What the instrument says of a bad command is raised" in out
    code, _, err = rdaq("new", "instrument", "lamp")
    assert code == 2
    assert "exists already → remove it" in err


def test_a_bad_file_is_told_with_its_line(rdaq, tmp_path):
    rdaq("new", "instrument", "lamp")
    path = tmp_path / "lamp.toml"
    path.write_text(path.read_text().replace('units = "W"', 'unit = "W"', 1))
    code, out, err = rdaq("check", "lamp.toml")
    assert (code, out) == (2, "")
    assert re.search(r"rdaq: lamp\.toml:\d+: signal\.power\.unit: unknown key 'unit'; did you mean 'units'\?", err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "keithly"), "did you mean keithley_2450?"),
        (("check", "no.toml"), "no file no.toml"),
        (("new", "instrument", "A B"), "is no name for an instrument"),
        (("new", "driver", "x"), "invalid choice: 'driver'"),
        (("sim", "nothing"), "unknown declared instrument 'nothing'"),
    ],
)
def test_what_is_not_there(rdaq, words, message):
    code, _, err = rdaq(*words)
    assert code == 2
    assert message in err


@pytest.mark.parametrize("options", [["--tcp"], ["--link-dir", "links", "--log-dir", "logs", "--no-baud-limit"]])
def test_a_simulated_instrument_is_served_until_standard_input_closes(tmp_path, options):
    words = [sys.executable, "-m", "rdaq_ophyd.sim", "lakeshore_336", "--json", "--until-stdin-closes", *options]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            ready, _, _ = select.select([process.stdout], [], [], 30)
            assert ready, "it says nothing"
            [(name, url)] = json.loads(process.stdout.readline()).items()
            assert name == "lakeshore_336"
            assert url.startswith("socket://127.0.0.1:" if options == ["--tcp"] else "links")
        finally:
            process.stdin.close()
            assert process.wait(20) == 0
    assert (tmp_path / "logs" / "lakeshore_336.jsonl").exists() is ("--log-dir" in options)


def test_the_table_for_a_person(monkeypatch, capsys):
    from rdaq_ophyd.sim import __main__ as module

    monkeypatch.setattr(module, "_on_signals", lambda end: end.put(None) or {})
    assert sim_main(["keithley_2450", "--tcp"]) == 0
    assert re.search(r"keithley_2450  socket://127\.0\.0\.1:\d+  115200 baud", capsys.readouterr().out)
