"""Requests from other processes: answered to those who know the token, and by nothing else disturbed."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.stop import Listener, RunFile, ask, ask_all, run_dir, running


@pytest.fixture(scope="module")
def listener():
    def fail(request):
        raise ValueError("broken")

    made = Listener({"echo": lambda request: {"said": request["word"]}, "fail": fail})
    yield made
    made.close()


def test_found_and_answers(listener):
    assert [process.pid for process in running()] == [os.getpid()]
    assert ask(listener.runfile, 5.0, do="echo", word="hello") == {"said": "hello"}
    assert ask_all([listener.runfile] * 40, 5.0, do="echo", word="x") == [{"said": "x"}] * 40


def test_an_answer_that_fails_is_told_and_the_next_is_served(listener):
    assert ask(listener.runfile, 5.0, do="fail") == {"error": "ValueError: broken"}
    assert ask(listener.runfile, 5.0, do="echo", word="x") == {"said": "x"}


def test_an_unknown_request_names_the_known(listener):
    assert ask(listener.runfile, 5.0, do="dance") == {"error": "unknown request 'dance'; known: echo, fail"}


def test_the_file_is_its_users_alone(listener):
    assert stat.S_IMODE(listener.runfile.path.stat().st_mode) == 0o600


def test_a_wrong_token_gets_nothing(listener):
    stranger = RunFile(listener.runfile.pid, listener.runfile.port)
    assert ask(stranger, 5.0, do="echo", word="x")["error"] == "hung up without an answer"


@given(st.one_of(st.binary(max_size=200), st.text(max_size=50).map(str.encode), st.just(b'{"token": [], "do": {}}')))
@settings(max_examples=40)
def test_garbage_gets_nothing_and_disturbs_nobody(listener, data):
    with socket.create_connection(("127.0.0.1", listener.runfile.port), timeout=5.0) as peer:
        peer.sendall(data.replace(b"\n", b"") + b"\n")
        assert peer.recv(100) == b""
    assert ask(listener.runfile, 5.0, do="echo", word="x") == {"said": "x"}


def test_callers_that_say_nothing_do_not_keep_others_out(listener):
    silent = [socket.create_connection(("127.0.0.1", listener.runfile.port), timeout=5.0) for _ in range(8)]
    try:
        assert ask(listener.runfile, 5.0, do="echo", word="x") == {"said": "x"}
    finally:
        for peer in silent:
            peer.close()


def test_processes_that_are_gone_are_forgotten():
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    gone = RunFile(int(child.stdout), 1)
    gone.write()
    assert gone.pid not in [process.pid for process in running()]
    assert not gone.path.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2}', '{"version": 1, "pid": 1}', '{"version": 1, "x": 1}']
)
def test_a_file_that_is_none_is_passed_over(content):
    run_dir().mkdir(exist_ok=True)
    path = run_dir() / "1.json"
    path.write_text(content)
    try:
        assert [process for process in running() if process.pid == 1] == []
    finally:
        path.unlink()


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ask(RunFile(1, port), 0.05, do="x")["silent"]
    assert "cannot be reached" in ask(RunFile(1, port), 1.0, do="x")["error"]


def test_a_run_directory_that_cannot_be_written(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RDAQ_RUN", str(tmp_path / "file" / "run"))
    made = Listener({})
    made.close()
    assert "`rdaq stop` does not find this process" in caplog.text


def test_what_is_kept_is_what_is_read(listener):
    kept = json.loads(listener.runfile.path.read_text())
    assert kept.pop("version") == 1
    assert RunFile(**kept) == listener.runfile


def test_callers_that_drip_are_ended_for_those_who_have_something_to_say(listener, monkeypatch):
    dripping = [socket.create_connection(("127.0.0.1", listener.runfile.port), timeout=5.0) for _ in range(40)]
    try:
        for peer in dripping:
            with contextlib.suppress(OSError):  # ended already
                peer.sendall(b"{")
        assert ask(listener.runfile, 5.0, do="echo", word="x") == {"said": "x"}
    finally:
        for peer in dripping:
            peer.close()


def test_a_request_that_does_not_end_is_ended(listener):
    with socket.create_connection(("127.0.0.1", listener.runfile.port), timeout=5.0) as peer:
        with contextlib.suppress(OSError):
            peer.sendall(b"x" * 200_000)
        with contextlib.suppress(ConnectionError):
            assert peer.recv(100) == b""


@pytest.mark.parametrize("request_line", ["[" * 60_000, '{"token": "\\u00e4"}'])
def test_requests_made_to_break_the_reader(listener, request_line, caplog):
    with socket.create_connection(("127.0.0.1", listener.runfile.port), timeout=5.0) as peer:
        peer.sendall(request_line.encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            assert peer.recv(100) == b""
    assert ask(listener.runfile, 5.0, do="echo", word="x") == {"said": "x"}


def test_a_directory_that_others_can_write_gets_no_token(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("RDAQ_RUN", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    made = Listener({})
    made.close()
    assert "others may write there" in caplog.text
    assert not list((tmp_path / "run").iterdir())
