import sys
import threading
import time

import pytest

from rdaq_ophyd.catalog import data_layout
from rdaq_ophyd.catalog._child import ALREADY_HELD, Child
from rdaq_ophyd.catalog._lock import ProcessLock


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came within the bound"
        threading.Event().wait(0.01)


@pytest.fixture
def child(tmp_path, monkeypatch):
    """A child whose process is a Python script of the test's."""
    layout = data_layout(tmp_path).prepare()
    child = Child(layout, "worker", layout.spool / "worker.lock", layout.catalog / "worker.log")
    yield child
    child.stop(5)


def program(monkeypatch, tmp_path, code):
    """Make the children run ``code`` instead of the catalog's processes."""
    script = tmp_path / "program"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}'\n")
    script.chmod(0o755)
    monkeypatch.setattr("rdaq_ophyd.catalog._child.sys.executable", str(script))


def test_a_child_is_started_once_and_ends_when_its_input_closes(child, monkeypatch, tmp_path):
    program(monkeypatch, tmp_path, "import sys; sys.stdin.read()")
    child.keep()
    pid = child.pid
    assert pid is not None
    child.keep()
    assert child.pid == pid
    child.stop(30)
    assert child.pid is None
    child.stop(30)


def test_a_child_that_does_not_listen_is_ended_by_signals(child, monkeypatch, tmp_path, caplog):
    program(
        monkeypatch,
        tmp_path,
        "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'print("on", flush=True)\nwhile True: signal.pause()',
    )
    child.keep()
    until(lambda: "on" in child.last_words())
    child.stop(0.1)
    assert caplog.text.count("did not end within") == 2
    assert child.pid is None


def test_a_child_that_fails_is_started_again_after_a_pause(child, monkeypatch, tmp_path, caplog):
    program(monkeypatch, tmp_path, 'import sys; sys.exit("no luck")')
    child.keep()
    until(lambda: (child.keep(), child.failures == 2)[1])
    assert child.last_words().count("no luck") == 2
    assert "ended with 1" in caplog.text


def test_losing_the_race_for_the_role_is_no_failure(child, monkeypatch, tmp_path):
    program(monkeypatch, tmp_path, f"import sys; sys.exit({ALREADY_HELD})")
    child.keep()
    until(lambda: child.pid is None)
    lock = ProcessLock(child.lock)
    assert lock.acquire()
    child.keep()
    child.keep()
    assert child.failures == 0
    assert child.attached
    assert child.pid is None
    lock.release()
    assert not child.attached


def test_the_user_s_tiled_settings_do_not_reach_the_server(child, monkeypatch, tmp_path):
    monkeypatch.setenv("TILED_AUTHNALLOW_ANONYMOUS_ACCESS", "1")
    program(monkeypatch, tmp_path, 'import os; print([k for k in os.environ if k.startswith("TILED")], flush=True)')
    child.keep()
    until(lambda: "[" in child.last_words())
    assert child.last_words() == "[]"


def test_a_large_log_is_rolled(child, monkeypatch, tmp_path):
    monkeypatch.setattr("rdaq_ophyd.catalog._child._LARGEST_LOG", 3)
    child.log.write_text("long enough")
    program(monkeypatch, tmp_path, "pass")
    child.keep()
    assert child.log.with_suffix(".log.1").read_text() == "long enough"
    until(lambda: child.pid is None)
