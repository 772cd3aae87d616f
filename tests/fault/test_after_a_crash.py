"""From ``kill -9`` to the next run, as docs/how-to/after-a-crash.md tells it: look, reset, repair, go on."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from watched import gone, wait

from rdaq_ophyd.catalog import data_layout, hint_at_repair
from rdaq_ophyd.cli import main
from rdaq_ophyd.errors import StopLatched
from rdaq_ophyd.stop import Latch, latch_path

OWNER = Path(__file__).parents[1] / "lib" / "camera_owner.py"
POINTS = 3


@pytest.fixture
def rdaq(capsys):
    def run(*words):
        code = main(words)
        out, err = capsys.readouterr()
        return code, out + err

    return run


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """Latches and processes of this test alone; the path of a socket has to be short."""
    with tempfile.TemporaryDirectory(prefix="rdaq-") as short:
        monkeypatch.setenv("RDAQ_RUN", short)
        monkeypatch.setenv("RDAQ_STATE", str(tmp_path / "state"))
        yield


def begin_a_plan():
    """As the next session does, with a latch of its own."""
    there = Latch()
    there.attach(latch_path("lab"))
    try:
        there.check("a plan")
    finally:
        there.detach()


def test_a_session_with_a_camera_alone_is_killed_and_the_next_run_works(tmp_path, rdaq):
    data = data_layout(tmp_path / "data").prepare().root
    command = [sys.executable, str(OWNER), str(data), str(latch_path("lab"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as session:
        try:
            for _ in range(POINTS):
                said = session.stdout.readline().split()
                assert said, "it ended by itself"
        finally:
            session.kill()
        wait(lambda: gone(int(said[0])), "the watchdog has ended")

    code, told = rdaq("status")
    assert code == 1
    assert "rig lab, in no process now, is STOPPED: its session died" in told
    assert re.search(r"cam: confirmed, of process \d+ \(ended with its process\)", told)
    with pytest.raises(StopLatched, match="rdaq reset REASON"):
        begin_a_plan()

    assert rdaq("reset", "looked:", "nothing", "moves") == (0, "rig lab: reset\n")
    begin_a_plan()

    assert f"1 run without an end, whose process is gone → rdaq repair {data}" in hint_at_repair(data_layout(data))
    code, told = rdaq("repair", "--dry-run", str(data))
    assert "its writer died; the mark would be cleared" in told
    code, told = rdaq("repair", str(data))
    assert code == 0
    assert "ended without a stop document" in told
    assert hint_at_repair(data_layout(data)) == ""
    assert rdaq("repair", str(data)) == (0, f"nothing to repair in {data}\n")
