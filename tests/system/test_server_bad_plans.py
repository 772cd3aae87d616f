"""Files of plans that end, hang or break when they are imported: whoever asks is told, nobody else notices."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest
from bare import bare_session

from rdaq_ophyd.client import connect
from rdaq_ophyd.errors import ProfileError, RdaqError, StopLatched
from rdaq_ophyd.server import Server
from rdaq_ophyd.server._listed_plans import _told
from rdaq_ophyd.stop import latch, reset

GOOD = "def plan(num: int = 1):\n    'Counts.'\n    yield from ()\n    return num\n"
WAITS = (
    """
import pathlib, time
pathlib.Path("begun").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.01)
"""
    + GOOD
)


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with bare_session(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest.fixture
def plans(tmp_path, monkeypatch):
    """The folder of plans that the server looks into."""
    monkeypatch.chdir(tmp_path)
    _told.clear()
    (tmp_path / "plans").mkdir()
    yield tmp_path / "plans"
    (tmp_path / "go").touch()  # nobody waits on


@pytest.fixture
def client(session, plans):
    with Server(session) as server, connect(server.address) as made:
        yield made


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("import sys\n\nsys.exit()\n", "SystemExit"),
        ("import asyncio\nraise asyncio.CancelledError\n", "CancelledError"),
        ("import os\nos.nothing\n", "AttributeError"),
    ],
)
def test_a_file_that_quits_is_left_out_and_told(client, plans, caplog, text, what):
    (plans / "quits.py").write_text(text)
    (plans / "good.py").write_text(GOOD)
    for _ in range(3):
        assert client.plans()["good"].doc == "Counts."
        assert "quits" not in client.plans()
    (told,) = [record.getMessage() for record in caplog.records if "left out of the list" in record.message]
    assert "plan quits" in told
    assert what in told
    with pytest.raises(ProfileError, match=rf"quits\.py:\d: {what}"):
        client.run("quits")
    assert client.run("good", num=3).result == "3"


def test_a_file_that_interrupts_does_not_end_the_server(client, plans):
    (plans / "quits.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(RdaqError, match="KeyboardInterrupt"):
        client.plans()
    with pytest.raises(RdaqError, match="KeyboardInterrupt"):
        client.run("quits")
    assert client.state.engine == "idle"


def test_a_task_that_quits_does_not_end_the_server(session, caplog):
    async def quits():
        raise SystemExit(5)

    with Server(session) as server, connect(server.address) as client:
        for _ in range(3):
            server.loop.call_soon_threadsafe(asyncio.ensure_future, quits())
            assert client.state.engine == "idle"
        assert client.stop_all("after that").reason == "after that"
        reset("the test is over", force=True)


def test_a_stop_does_not_wait_for_the_import_of_a_plan(client, plans):
    (plans / "slow.py").write_text(WAITS)
    failed = []

    def run():
        try:
            client.run("slow")
        except RdaqError as error:
            failed.append(error)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    until(Path("begun").exists)
    began = time.monotonic()
    client.stop_all("smoke")
    assert not Path("go").exists()
    assert time.monotonic() - began < 5, "the import would take for ever"
    reset("no smoke", force=True)
    assert not latch.tripped
    Path("go").touch()
    running.join(20)
    (error,) = failed
    assert isinstance(error, StopLatched)
    assert "slow was not begun: everything was stopped while it was loaded" in str(error)
    assert client.state.engine == "idle"


def test_files_that_hang_keep_nobody_from_anything(client, plans):
    (plans / "slow.py").write_text(WAITS)
    pool = min(32, (os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()) + 4)
    waiting = [threading.Thread(target=client.plans, daemon=True) for _ in range(pool + 2)]
    for thread in waiting:
        thread.start()
    until(Path("begun").exists)
    with pytest.raises(RdaqError, match="unknown calibration"):
        client.undo_calibration("none", "asked in a thread of the pool that others use")
    assert all(thread.is_alive() for thread in waiting)
    Path("go").touch()
    for thread in waiting:
        thread.join(20)
        assert not thread.is_alive()
