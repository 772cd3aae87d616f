"""queueserver's manager on the embedded Redis and on a real one, without a worker: what is kept, and how it dies."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack

import psutil
import pytest
import redis as redis_client
from queued import last, wait_for

from rdaq_ophyd.errors import QueueError
from rdaq_ophyd.queue._control import Control
from rdaq_ophyd.queue._files import QueueFolder
from rdaq_ophyd.queue._manager_process import ManagerProcess, free_port
from rdaq_ophyd.queue._options import WorkerOptions
from rdaq_ophyd.queue._redis import redis_at

#: As a worker writes them down: one plan without parameters.
EXISTING = {"existing_plans": {"rest": {"name": "rest", "parameters": [], "properties": {}}}, "existing_devices": {}}
REST = {"item_type": "plan", "name": "rest"}
PARENT = """
import sys, time
from pathlib import Path
from rdaq_ophyd.queue._files import QueueFolder
from rdaq_ophyd.queue._manager_process import ManagerProcess
from rdaq_ophyd.queue._options import WorkerOptions
folder, control, info, redis = sys.argv[1:]
options, folder = WorkerOptions("sim", folder), QueueFolder(Path(folder))
manager = ManagerProcess(options, folder, control=control, info=info, redis=redis, prefix="p")
print(manager.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def real_redis(tmp_path_factory):
    """Its address; None where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(lambda: listens(port))
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture(params=["embedded", "real"])
def redis(request, real_redis):
    if request.param == "real" and real_redis is None:
        pytest.skip("redis-server is not installed (make test-deps)")
    return "embedded" if request.param == "embedded" else real_redis


@pytest.fixture
def folder(tmp_path):
    made = QueueFolder(tmp_path / "queue").prepare()
    made.existing.write_text(json.dumps(EXISTING))
    return made


def listens(port):
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def answers(control):
    try:
        return bool(control.status())
    except QueueError:
        return False


def started(folder, redis, stack):
    """A manager on a Redis, until the stack is closed; and how it is asked."""
    control, info = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    options = WorkerOptions("nowhere.py", str(folder.path))
    manager = ManagerProcess(
        options, folder, control=control, info=info, redis=redis, prefix="p", log=subprocess.DEVNULL
    )
    stack.callback(manager.end)
    client = stack.enter_context(Control(control, timeout=1.0))
    wait_for(lambda: answers(client))
    return manager, client


def test_the_queue_is_kept_and_what_was_under_way_is_unknown_and_not_done_again(redis, folder):
    with ExitStack() as stack:
        address, _ = stack.enter_context(redis_at(redis, folder.path))
        _, control = started(folder, address, stack)
        assert control.ask("queue_item_add", item=REST)["qsize"] == 1
        with pytest.raises(QueueError, match="not in the list of allowed plans"):
            control.ask("queue_item_add", item={**REST, "name": "run"})
        with pytest.raises(QueueError, match="environment does not exist"):
            control.ask("queue_start")
        with redis_client.Redis.from_url(f"redis://{address}") as client:  # as a plan leaves it that is cut off
            running = {
                **REST,
                "item_uid": "1",
                "properties": {"time_start": 0.0},
                "user": "bob",
                "user_group": "primary",
            }
            client.set("p_running_plan", json.dumps(running))
    with ExitStack() as stack:
        address, _ = stack.enter_context(redis_at(redis, folder.path))
        manager, control = started(folder, address, stack)
        status = control.status()
        assert (status["items_in_queue"], status["running_item_uid"], status["queue_autostart_enabled"]) == (
            1,
            None,
            False,
        )
        assert (last(control)["name"], last(control)["exit_status"]) == ("rest", "unknown")
        assert (status["stopped"], status["worker_died"], status["address"]) == ("", "", "")
        control.ask("manager_stop", option="safe_on")
        assert manager.wait(20)


def test_it_does_not_outlive_who_started_it(folder):
    with redis_at("embedded", folder.path) as (address, _):
        control = f"tcp://127.0.0.1:{free_port()}"
        words = [sys.executable, "-c", PARENT, str(folder.path), control, f"tcp://127.0.0.1:{free_port()}", address]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
            manager = int(parent.stdout.readline())
            with Control(control, timeout=1.0) as client:
                wait_for(lambda: answers(client))
            family = [psutil.Process(manager), *psutil.Process(manager).children(recursive=True)]
            assert len(family) >= 2
            parent.kill()
            _gone, alive = psutil.wait_procs(family, timeout=20)
            assert not alive
