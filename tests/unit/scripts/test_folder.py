"""Folders of scripts: those of a rig that lives are let alone, those of one that was killed go, with who uses them."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from rdaq_ophyd.scripts import ScriptLimits, remove_left
from rdaq_ophyd.scripts._folder import PREFIX, Folder
from rdaq_ophyd.server._scripts import Scripts

RIG = """
import subprocess, sys
from rdaq_ophyd.scripts import ScriptLimits, Source
from rdaq_ophyd.scripts._folder import MARK, Folder
from rdaq_ophyd.scripts._process import Process
process = Process(Source("scan.py", b"def plan(): yield", ()), ScriptLimits(), print)
(place,) = __import__("pathlib").Path(__import__("tempfile").gettempdir()).glob("rdaq-script-*")
(place / "left").mkdir()
(place / "left" / "much").write_text("x" * 1000)
environment = {MARK: f"{__import__('os').getpid()}:{place}"}
stray = subprocess.Popen(["sleep", "1000"], env=environment, start_new_session=True, cwd=place)
print(place, stray.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """No other temporary folder is looked at."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def rig():
    """A rig with a script that has left the rig's own processes; in a process of its own."""
    command = [sys.executable, "-c", RIG]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        place, stray = process.stdout.readline().split()
        yield SimpleNamespace(process=process, place=Path(place), stray=int(stray))
        process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(stray), signal.SIGKILL)


def gone(pid):
    """Whether it has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_of_a_rig_that_was_killed_folder_and_strays_go_at_the_next_start(rig):
    assert remove_left() == [], "its rig lives"
    assert (rig.place / "left" / "much").exists()
    rig.process.kill()
    rig.process.wait(20)
    calls = []
    Scripts(SimpleNamespace(at_close=calls.append), None, ScriptLimits())
    for call in calls:
        call()  # which waits for it
    assert not rig.place.exists()
    for _ in range(2000):
        if gone(rig.stray):
            break
        threading.Event().wait(0.005)
    assert gone(rig.stray)


def test_one_that_is_in_use_is_let_alone_and_goes_with_its_script():
    folder = Folder()
    assert remove_left() == []
    assert Path(folder.path).is_dir()
    folder.remove()
    assert not Path(folder.path).exists()
    assert remove_left() == []


def test_what_is_no_folder_of_ours_stays(temporary):
    target = temporary / "elsewhere"
    target.mkdir()
    (target / "data").write_text("mine")
    (temporary / f"{PREFIX}link").symlink_to(target)
    (temporary / f"{PREFIX}file").write_text("mine")
    (temporary / "rdaq-script-old").mkdir()  # as they were called when they were not locked
    assert remove_left() == []
    assert (target / "data").read_text() == "mine"
    assert len(list(temporary.iterdir())) == 4


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_folders_of_other_users_stay(temporary):
    theirs = temporary / f"{PREFIX}theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    assert remove_left() == []
    assert theirs.exists()


def test_a_link_within_leads_nowhere(temporary):
    kept = temporary / "kept"
    kept.mkdir()
    (kept / "data").write_text("mine")
    left = temporary / f"{PREFIX}left"
    left.mkdir()
    (left / "link").symlink_to(kept)
    assert remove_left() == [str(left)]
    assert (kept / "data").read_text() == "mine"


def test_a_folder_that_is_just_made_is_never_taken_for_an_old_one():
    over, removed = threading.Event(), []

    def tidy():
        while not over.is_set():
            removed.extend(remove_left())

    tidying = threading.Thread(target=tidy)
    tidying.start()
    try:
        for _ in range(300):
            folder = Folder()
            Path(folder.path, "scan.py").write_text("x")
            assert Path(folder.path, "scan.py").exists()
            assert folder.path not in removed
            folder.remove()
    finally:
        over.set()
        tidying.join(20)
