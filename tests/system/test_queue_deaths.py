"""Processes of a queue that die; with the real Redis where there is one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import redis as redis_client
from queued import idle, last, open_run, queue_process, stop_documents, until

from rdaq_ophyd.cli import main
from rdaq_ophyd.errors import QueueError
from rdaq_ophyd.queue._control import Control
from rdaq_ophyd.queue._files import QueueFolder
from rdaq_ophyd.queue._manager_process import ManagerProcess, free_port
from rdaq_ophyd.queue._options import WorkerOptions
from rdaq_ophyd.queue._redis import redis_at

SCAN = {
    "item_type": "plan",
    "name": "knife_edge_scan",
    "kwargs": {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 500},
}


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """Address of a real Redis of ours; None where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL) as server:
        client = redis_client.Redis(port=port)
        try:
            end = time.monotonic() + 20
            while True:
                try:
                    client.ping()
                    break
                except redis_client.ConnectionError:
                    assert time.monotonic() < end
            yield f"127.0.0.1:{port}"
        finally:
            client.close()
            server.terminate()


@pytest.fixture(scope="module")
def mortal(redis, profile_path, bench, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mortal")
    with queue_process(folder, profile_path.read_text(), bench.ports, "--redis", redis or "embedded") as made:
        yield made


@pytest.fixture
def control(mortal):
    with Control(mortal.control) as made:
        yield made


def test_a_worker_that_is_killed_is_noticed_and_what_it_did_is_not_done_again(mortal, control, capsys):
    control.ask("queue_item_add", item=SCAN)
    control.ask("queue_autostart", enable=True)
    status = until(control, lambda s: s["re_state"] == "running")
    uid = until_recorded(mortal.data)
    told = time.monotonic_ns()
    os.kill(status["worker_pid"], signal.SIGKILL)

    status = until(control, lambda s: idle(s) and s["worker_died"])
    assert "died" in status["worker_died"]
    assert "in plan knife_edge_scan" in status["worker_died"]
    assert not status["worker_environment_exists"]
    assert not status["queue_autostart_enabled"]
    assert (last(control)["exit_status"], last(control)["msg"]) == ("failed", status["worker_died"])
    assert status["items_in_queue"] == 1
    # The watchdog has stopped the axes, the run has an end that says so.
    wait_for(lambda: any(at > told for at in mortal.bench.arrivals("esp300", b"ST\r")))
    wait_for(lambda: stop_documents(mortal.data, uid))
    (stop,) = stop_documents(mortal.data, uid)
    assert stop["exit_status"] in ("abort", "fail")
    assert main(["queue", "status", "--control", mortal.control]) == 1
    assert "DIED: the worker died" in capsys.readouterr().out
    log = (mortal.folder / "log").read_text()
    assert "the queue stands still" in log
    assert f"run {uid}" in log


def test_it_is_opened_again_when_somebody_has_looked(mortal, control, capsys):
    wait_for(lambda: main(["reset", "looked", "at", "the", "bench"]) == 0)
    assert main(["queue", "open", "--control", mortal.control]) == 0
    assert "devices: rdaq ls --host 127.0.0.1:" in capsys.readouterr().out
    status = control.status()
    assert (status["items_in_queue"], status["manager_state"], status["worker_died"]) == (1, "idle", "")
    control.ask("queue_clear")
    control.ask("queue_item_add", item={"item_type": "plan", "name": "enable", "args": ["x"]})
    control.ask("queue_start")
    until(control, lambda s: s["items_in_queue"] == 0 and idle(s))
    assert last(control)["exit_status"] == "completed"


def test_nothing_outlives_a_queue_that_is_killed(mortal, control, redis):
    control.ask("queue_item_add", item=SCAN)
    control.ask("queue_start")
    until(control, lambda s: s["re_state"] == "running")
    family = psutil.Process(mortal.process.pid).children(recursive=True)
    told = time.monotonic_ns()
    mortal.process.kill()
    _gone, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert any(at > told for at in mortal.bench.arrivals("esp300", b"ST\r"))


def test_what_was_under_way_then_is_unknown_and_not_done_again(mortal, redis):
    folder = QueueFolder(mortal.data / "queue")
    control, info = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    options = WorkerOptions(str(mortal.folder / "mortal0.py"), str(mortal.data))
    with ExitStack() as stack:
        address, _where = stack.enter_context(redis_at(redis or "embedded", folder.path))
        manager = ManagerProcess(
            options, folder, control=control, info=info, redis=address, prefix="rdaq_mortal0", log=subprocess.DEVNULL
        )
        stack.callback(manager.end)
        client = stack.enter_context(Control(control, timeout=1.0))
        wait_for(lambda: answers(client))
        status = client.status()
        assert (status["items_in_queue"], status["running_item_uid"], status["queue_autostart_enabled"]) == (
            0,
            None,
            False,
        )
        assert (last(client)["name"], last(client)["exit_status"]) == ("knife_edge_scan", "unknown")
        client.ask("manager_stop", option="safe_on")
        assert manager.wait(20)


def test_the_real_redis_was_there(redis):
    if redis is None:
        pytest.skip("redis-server is not installed: the tests above used the embedded one (make test-deps)")


def answers(control):
    try:
        return bool(control.status())
    except QueueError:
        return False


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def until_recorded(data: Path) -> str:
    wait_for(lambda: any((data / "spool").glob("*.jsonl")))
    return open_run(data)
