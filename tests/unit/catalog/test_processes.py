"""The entry points of the catalog's processes (at work: tests/system and tests/fault)."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from rdaq_ophyd.catalog import data_layout
from rdaq_ophyd.catalog.__main__ import connect, main
from rdaq_ophyd.catalog._child import ALREADY_HELD
from rdaq_ophyd.catalog._lock import ProcessLock
from rdaq_ophyd.catalog._parent import _watch
from rdaq_ophyd.catalog._stopping import Stopping


@pytest.mark.parametrize(("role", "lock"), [("serve", "catalog/server.lock"), ("worker", "spool/worker.lock")])
def test_a_role_is_filled_once(role, lock, tmp_path, capsys):
    layout = data_layout(tmp_path).prepare()
    held = ProcessLock(layout.root / lock)
    assert held.acquire()
    assert main([role, str(tmp_path)]) == ALREADY_HELD
    assert "another" in capsys.readouterr().err
    held.release()


def test_no_connection_while_no_server_runs(tmp_path):
    with pytest.raises(ConnectionError, match="no server runs"):
        connect(data_layout(tmp_path))


@pytest.mark.parametrize("role", ["serve", "worker"])
def test_a_process_leaves_at_once_when_its_parent_ends_during_the_start(role, tmp_path):
    command = [sys.executable, "-m", "rdaq_ophyd.catalog", role, str(tmp_path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, capture_output=True)
    assert done.returncode == 0


def test_the_worker_ends_in_order_on_sigterm(tmp_path):
    command = [sys.executable, "-m", "rdaq_ophyd.catalog", "worker", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        status = tmp_path / "spool" / "status.json"
        while not status.exists():  # written at its first look at the spool
            assert process.poll() is None
            threading.Event().wait(0.02)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_handler_may_ask_for_the_end_at_any_moment_of_the_wait():
    """With a ``threading.Event`` the same hangs sooner or later, its lock held by the thread that was interrupted."""
    main = threading.main_thread().ident
    assert main == threading.get_ident()
    for _ in range(300):
        stopping = Stopping()
        before = signal.signal(signal.SIGUSR1, lambda *_, end=stopping: end.set())
        sender = threading.Thread(target=signal.pthread_kill, args=(main, signal.SIGUSR1))
        sender.start()
        while not stopping.wait(0.0001):
            pass
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert stopping.is_set()


def test_a_parent_is_missed_when_its_pipe_closes_or_its_number_changes():
    calls = []
    reading, writing = os.pipe()
    os.write(writing, b"noise")
    os.close(writing)
    _watch(reading, os.getppid(), lambda: calls.append("closed"))
    _watch(reading, -1, lambda: calls.append("changed"))
    os.close(reading)
    assert calls == ["closed", "changed"]
