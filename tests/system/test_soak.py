"""The soak, short: clients of all kinds on a daemon, and everything that must hold afterwards."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from benchmarks._soak._checks import Seen, _documents, _growth
from benchmarks._soak._run import soak
from benchmarks._soak.clients import CREW

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("untraced")]


def test_a_short_soak_finds_nothing_wrong(tmp_path):
    found = soak(5.0, tmp_path)
    table = "\n".join(f"{one.what}: {one.holds}: {one.detail}" for one in found)
    assert all(one.holds for one in found), table
    named = " ".join(one.what for one in found)
    assert sum(CREW.values()) >= 20
    for kind, count in CREW.items():
        assert f"{count} × {kind.__name__}" in named
    assert "stop-all in the middle is confirmed" in named
    assert "stop-all at the end is confirmed" in named


def test_what_is_lost_or_grows_is_found():
    counts = {"start": 1, "event": 5, "stop": 1}
    seen = Seen(told={"documents": [{"runs": {"u": counts}, "whole": ["u"]}], "runners": [{"uids": ["u"]}]})

    whole, ended = _documents(seen, {"u": Counter(counts)})
    assert whole.holds
    assert ended.holds
    lacking, _ = _documents(seen, {"u": Counter(counts | {"event": 6})})
    assert not lacking.holds
    unseen, _ = _documents(Seen(told={**seen.told, "runners": [{"uids": ["v"]}]}), {"v": Counter(counts)})
    assert not unseen.holds
    assert not _documents(seen, {})[1].holds
    steady = [(float(n), 100 << 20) for n in range(300)]
    assert _growth(steady).holds
    assert not _growth([(at, held + int(at) * (1 << 20)) for at, held in steady]).holds
    assert not _growth(steady[:3]).holds


def test_the_command_says_how_long_it_may_be():
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks", "soak", "--minutes", "0"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--minutes: 0.05 to 100000" in done.stderr
