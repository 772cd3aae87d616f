"""Programs of the tests that are forked from one that has Tiled loaded: nobody who starts one sees a difference."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import preloaded
import pytest
from preloaded import COMMANDS, VARIABLE, at_work, preload

pytestmark = pytest.mark.usefixtures("untraced", "loaded")
SAYS = """
import json, os, sys
loaded = "tiled.server.app" in sys.modules
print(json.dumps([loaded, sys.argv, os.getcwd(), os.getpid(), os.environ.get("WORD"), sys.stdin.read(), os.getsid(0)]))
print("wrong", file=sys.stderr)
sys.exit(7)
"""
WAITS = """
import signal, sys, threading
if {handles}:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
print(flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def loaded() -> Iterator[None]:
    """One that forks: that of the whole run, where several processes take part in it."""
    if VARIABLE in os.environ:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        end = preload()
        yield
        end()


PIPES = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)


@contextmanager
def started(code: str, *words: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-X", "preloaded", "-c", code, *words]
    with subprocess.Popen(command, text=True, **PIPES, **more) as process:
        try:
            yield process
        finally:
            process.kill()


def gone(pid: int) -> bool:
    """Whether it has ended, within a bound."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_it_has_what_it_was_given(tmp_path):
    with started(SAYS, "a", "b c", cwd=tmp_path, env={**os.environ, "WORD": "µ"}) as process:
        out, errors = process.communicate("typed", timeout=60)
    tiled, words, folder, pid, word, typed, group = json.loads(out)
    assert tiled, "it was not forked"
    assert (words, folder, pid, word, typed) == (["-c", "a", "b c"], str(tmp_path), process.pid, "µ", "typed")
    assert group != os.getsid(0)
    assert (process.returncode, errors) == (7, "wrong\n")


@pytest.mark.parametrize("folder", ["plans", "bin"])
def test_a_plan_has_what_it_was_given_and_is_forked_where_a_test_says_so(folder, tmp_path):
    (tmp_path / folder).mkdir()
    plan = tmp_path / folder / "scan.py"
    plan.write_text("import beside\n" + SAYS)
    plan.with_name("beside.py").touch()
    env = {**os.environ, "WORD": "µ", COMMANDS: "1"}
    command = [sys.executable, f"{folder}/scan.py", "a", "b c"]
    with subprocess.Popen(command, text=True, cwd=tmp_path, env=env, **PIPES) as process:
        out, errors = process.communicate("typed", timeout=60)
    tiled, words, where, pid, word, typed, _ = json.loads(out)
    assert tiled is (folder == "plans")
    assert (words, where, word, typed) == ([f"{folder}/scan.py", "a", "b c"], str(tmp_path), "µ", "typed")
    assert (pid == process.pid) is not tiled, "it has its own number, which its children know"
    assert (process.returncode, errors) == (7, "wrong\n")


@pytest.mark.parametrize(
    ("number", "handles", "code", "says"),
    [
        (signal.SIGTERM, True, 1, "told to end\n"),
        (signal.SIGTERM, False, -signal.SIGTERM, ""),
        (signal.SIGKILL, True, -signal.SIGKILL, ""),
    ],
)
def test_a_signal_does_what_it_does(number, handles, code, says):
    with started(WAITS.format(handles=handles)) as process:
        process.stdout.readline()
        working = at_work(process.pid)
        assert working != process.pid
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, says)
    assert gone(working)


def test_who_stands_for_one_that_was_killed_ends_like_it():
    with started(WAITS.format(handles=False)) as process:
        process.stdout.readline()
        os.kill(at_work(process.pid), signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL


def test_what_nobody_catches_is_told():
    with started("1 / 0") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.endswith("ZeroDivisionError: division by zero\n")


def test_one_that_is_killed_before_it_is_forked_ends_nobody_else():
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(os.environ[VARIABLE])
    with started("print(1)") as process:
        assert process.communicate(timeout=60) == ("1\n", "")


@pytest.fixture(scope="module")
def wanted() -> Any:
    """The question of each process that starts."""
    path = Path(preloaded.__file__).parent / "site" / "sitecustomize.py"
    spec = importlib.util.spec_from_file_location("of_preloaded", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._wanted


@pytest.mark.parametrize(
    ("words", "wants"),
    [
        ("-P -m rdaq_ophyd.catalog serve data", True),
        ("-m tiled catalog init sqlite:///data", True),
        ("-m uvicorn --factory tiled.server.app:app_factory --workers 1 --port 1", True),
        ("-m uvicorn --factory tiled.server.app:app_factory --workers 2 --port 1", False),
        ("-m uvicorn other:app --workers 1 --port 1", False),
        ("-m rdaq_ophyd.cli run tiled", False),
        ("-c pass -m tiled", False),
        ("script.py", False),
        ("bin/rdaq run tiled", False),
        ("plans/knife_edge.py", False),
    ],
)
def test_what_is_forked_and_that_nothing_is_that_is_traced(wanted, monkeypatch, words, wants):
    monkeypatch.setattr(sys, "orig_argv", ["python", *words.split()])
    assert wanted() is wants
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "{}")
    assert not wanted()
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG")
    monkeypatch.delenv(VARIABLE)
    assert not wanted()


@pytest.mark.parametrize(
    ("words", "wants"),
    [
        ("bin/rdaq shell sim", True),
        ("bin/ipython --simple-prompt", False),
        ("plans/knife_edge.py --num 5", True),
        ("-u plans/knife_edge.py", False),
        ("bin/pytest plans/knife_edge.py", False),
        ("-m rdaq_ophyd.sim", False),
    ],
)
def test_which_commands_are_forked_where_a_test_says_so(wanted, monkeypatch, words, wants):
    monkeypatch.setenv(COMMANDS, "1")
    monkeypatch.setattr(sys, "orig_argv", ["python", *words.split()])
    assert wanted() is wants
