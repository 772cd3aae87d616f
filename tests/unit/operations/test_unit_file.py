"""The unit file that `rdaq serve --print-unit` prints, read by systemd itself where it is."""

import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from rdaq_ophyd.cli import main
from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.operations import unit_file
from rdaq_ophyd.server import Limits
from rdaq_ophyd.server._descriptors import KEPT, PAGE


def parsed(text):
    parser = RawConfigParser(strict=False, delimiters="=", comment_prefixes="#", interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return parser


def test_the_unit_starts_what_was_asked_for(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["serve", "sim", "--data", "run data", "--metrics-port", "9464", "--limit", "calls=50", "--print-unit"]
    assert main(words) == 0
    unit = parsed(capsys.readouterr().out)
    command = unit["Service"]["ExecStart"]
    assert command.startswith("/")
    assert f" serve {Path('profiles/sim.py').name}" not in command  # its whole path
    assert f'--data "{tmp_path}/run data"' in command
    assert command.endswith("--port 50051 --metrics-port 9464 --limit calls=50")
    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["NoNewPrivileges"] == "yes"
    assert int(unit["Service"]["LimitNOFILE"]) > 2 * Limits().connections + PAGE + KEPT
    assert f'"-{tmp_path}/run data"' in unit["Service"]["ReadWritePaths"]


def test_what_a_script_may_have_is_in_the_unit_where_it_is_not_the_usual(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "sim", "--script-seconds", "300", "--script-memory", "16", "--print-unit"]) == 0
    assert "--script-seconds 300.0 --script-memory 16.0" in parsed(capsys.readouterr().out)["Service"]["ExecStart"]
    assert main(["serve", "sim", "--print-unit"]) == 0
    assert "--script" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("a b", '"a b"'),
        ("50%", "50%%"),
        ("$HOME", "$$HOME"),
        ('say "x"', '"say \\"x\\""'),
        ("", '""'),
        ("a\\b", '"a\\\\b"'),
    ],
)
def test_words_mean_to_systemd_what_they_are(word, written):
    text = unit_file(["/bin/echo", word], profile="p", user="lab", data=Path("/data"), state=Path("/state"))
    assert f"ExecStart=/bin/echo {written}\n" in text


def test_a_line_break_is_refused():
    with pytest.raises(RdaqError, match="cannot stand in a unit file"):
        unit_file(["/bin/x", "a\nExecStartPost=/bin/y"], profile="p", user="u", data=Path("/d"), state=Path("/s"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_it(tmp_path):
    words = ["/bin/true", "serve", "/home/lab/my lab.py", "--data", "/data"]
    path = tmp_path / "rdaq.service"
    path.write_text(unit_file(words, profile="lab", user="root", data=Path("/data"), state=Path("/root/state")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--generators=no", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in (done.stderr + done.stdout).splitlines() if "rdaq.service" in line]
    assert not ours, done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_it_may_do_little(tmp_path):
    path = tmp_path / "rdaq.service"
    path.write_text(unit_file(["/bin/true"], profile="lab", user="lab", data=Path("/data"), state=Path("/state")))
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=35", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout  # 3.5 of 10, where 10 is exposed
