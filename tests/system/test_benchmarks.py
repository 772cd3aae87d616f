"""The harness of the figures, run as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# What is traced is slower than the figures are.
pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("untraced")]
ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


def measured(*names):
    done = run(*names, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_one_figure_as_json():
    pytest.importorskip("pypylon", reason="pypylon is not installed")
    found = measured("F8")
    assert set(found) == {"F8"}
    assert {"figure", "peer", "ratio", "goal", "holds"} <= set(found["F8"])
    assert found["F8"]["holds"] is True, found
    assert found["F8"]["figure"] == 0


def test_stops_and_links_in_a_trial_run():
    page = ROOT / "docs" / "reference" / "figures.md"
    before = page.read_bytes()
    found = measured("F1", "F2", "F3", "F4", "F5", "ORCH", "--quick")
    assert set(found) == {"F1", "F2", "F3", "F4", "F5", "ORCH"}
    assert found["F1"]["ratio"] > 1
    assert 0 < found["F4"]["ratio"] < 1  # faster than the wire would be a mistake of the bench
    kept = {what: holds for result in found.values() for what, holds in result["also"].items()}
    # What a busy machine does not change.
    assert kept["the owner hands no reply to another question"]
    assert kept["the owner sends nothing that was cancelled before its turn"]
    notes = " ".join(found["ORCH"]["notes"])
    assert "fair lock, exchange shielded" in notes
    assert page.read_bytes() == before, "a trial run is no measurement"


def test_streams_in_a_trial_run():
    pytest.importorskip("flatbuffers", reason="flatbuffers is not installed")
    found = measured("F15", "TRANSPORT", "--quick")
    assert found["F15"]["ratio"] > 0  # how much goes through in a tenth of a second is a busy machine's affair
    assert found["TRANSPORT"]["also"]["every encoding gives back what it got"]
    assert "without probing" in " ".join(found["TRANSPORT"]["notes"])


def test_an_unknown_figure_names_those_there_are():
    done = run("F99")
    assert done.returncode == 2
    assert "no figure F99; there are F1, F2, F3" in done.stderr


def test_goals_count_in_their_direction_and_all_conditions_must_hold():
    code = (
        "from benchmarks import Result; from benchmarks.__main__ import page\n"
        "at_least = Result(2, 1, 2.0, 1.8, 'MB/s', 'peer')\n"
        "at_most = Result(1, 1, 1.2, 1.15, 's', 'peer', at_most=True)\n"
        "beside = Result(2, 1, 2.0, 1.8, 'MB/s', 'peer', also={'x': False}, notes=['slow disk'])\n"
        "assert [r.holds for r in (at_least, at_most, beside)] == [True, False, False]\n"
        "module = type('M', (), {'TITLE': 'a title'})\n"
        "text = page({'F1': at_least, 'F2': beside}, {'F1': module, 'F2': module})\n"
        "assert '| F1 | a title | 2 MB/s | 1 MB/s (peer) | 2 | ≥ 1.8 | yes |' in text and '- slow disk' in text, text\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
