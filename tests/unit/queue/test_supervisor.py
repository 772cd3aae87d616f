"""The supervisor with a manager that says what a test wants, and the files it gives to the real one."""

from __future__ import annotations

import json
import os
import signal
import socket
from types import SimpleNamespace

import pytest
import yaml
from bluesky_queueserver.manager.profile_ops import load_user_group_permissions

from rdaq_ophyd.catalog import data_layout
from rdaq_ophyd.cli import main
from rdaq_ophyd.errors import DataDirectoryError, QueueError, RdaqError
from rdaq_ophyd.queue import _supervisor
from rdaq_ophyd.queue._control import Control, address_of
from rdaq_ophyd.queue._files import QueueFolder
from rdaq_ophyd.queue._manager_process import check_free, free_port
from rdaq_ophyd.queue._options import WorkerOptions
from rdaq_ophyd.queue._supervisor import Supervisor

IDLE = {"manager_state": "idle", "worker_environment_exists": True, "worker_died": ""}


class SomeManager:
    """Neither a process nor a manager: ``says`` the next status each time, the last one again and again."""

    def __init__(self, *says, exit_code=None):
        self.says, self.exit_code, self.asked, self.ended = list(says), exit_code, [], 0

    def status(self):
        if isinstance(now := self.says.pop(0) if len(self.says) > 1 else self.says[0], Exception):
            raise now
        return now

    def ask(self, method, **_parameters):
        self.asked.append(method)
        if method == "environment_close":
            self.says = [{**IDLE, "worker_environment_exists": False}]

    def wait(self, _seconds):
        return True

    def end(self):
        self.ended += 1


@pytest.fixture
def supervised(tmp_path):
    def make(manager):
        return Supervisor(manager, manager, data_layout(tmp_path).prepare())

    return make


def test_it_opens_the_environment_when_the_manager_answers(supervised):
    creating = {**IDLE, "manager_state": "creating_environment", "worker_environment_exists": False}
    manager = SomeManager(QueueError("nobody"), IDLE, creating, IDLE)
    assert supervised(manager).open() == IDLE
    assert manager.asked == ["environment_open"]


@pytest.mark.parametrize(
    ("manager", "said"),
    [
        (SomeManager(QueueError("nobody"), exit_code=3), "does not answer: it has ended with code 3"),
        (SomeManager({**IDLE, "worker_environment_exists": False}), "the worker did not come up → why is said above"),
    ],
)
def test_what_does_not_come_up_is_said(supervised, manager, said):
    with pytest.raises(QueueError, match=said):
        supervised(manager).open()


def test_told_to_end_while_it_opens_it_ends(supervised):
    queue = supervised(SomeManager(QueueError("nobody")))
    queue.on_signal(signal.SIGTERM, None)
    with pytest.raises(SystemExit) as ended:
        queue.open()
    assert ended.value.code == 143
    with pytest.raises(SystemExit):  # told twice: at once
        queue.on_signal(signal.SIGTERM, None)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_the_exit_code_says_what_ended_it(supervised, number, code):
    queue = supervised(SomeManager(IDLE))
    queue.on_signal(number, None)
    assert queue.watch() == code


def test_the_end_of_the_manager_is_an_error(supervised, caplog):
    assert supervised(SomeManager(IDLE, exit_code=-9)).watch() == 1
    assert "has ended with code -9" in caplog.text


def test_a_dead_worker_is_told_once_and_remembered_until_another_one_is_opened(supervised, caplog):
    died = {**IDLE, "worker_died": "the worker died at noon"}
    queue = supervised(SomeManager(IDLE, died, QueueError("busy"), died))
    for _ in range(4):
        queue._look_at_worker(queue._status())
    assert caplog.text.count("the queue stands still") == 1
    queue.on_signal(signal.SIGINT, None)
    assert queue.watch() == 1
    queue._look_at_worker(IDLE)
    assert queue.watch() == 0


def test_it_closes_in_order_and_then_ends_whatever_is_left(supervised):
    manager = SomeManager(IDLE)
    supervised(manager).close()
    assert (manager.asked, manager.ended) == (["environment_close", "manager_stop"], 1)
    mute = SomeManager(QueueError("nobody"))
    mute.ask = lambda *_words, **_more: mute.status()
    supervised(mute).close()
    dead = SomeManager(IDLE, exit_code=1)
    supervised(dead).close()
    assert (mute.ended, dead.asked, dead.ended) == (1, [], 1)


def test_it_waits_until_a_worker_without_a_manager_has_given_up_its_instruments(supervised, monkeypatch):
    manager = SomeManager({**IDLE, "worker_pid": 7})
    queue = supervised(manager)
    queue._look_at_worker(queue._status())
    manager.exit_code = -9
    owners = [[SimpleNamespace(pid=7), SimpleNamespace(pid=8)], [SimpleNamespace(pid=7)], [SimpleNamespace(pid=8)]]
    monkeypatch.setattr(_supervisor, "running", lambda: owners.pop(0))
    queue.close()
    assert owners == []


def test_everybody_may_do_all_at_first_and_permissions_that_are_there_stay(tmp_path):
    folder = QueueFolder(tmp_path / "queue").prepare()
    groups = load_user_group_permissions(str(folder.permissions))["user_groups"]
    assert groups["primary"]["allowed_plans"] == [None]
    assert groups["primary"]["allowed_functions"] == []
    folder.permissions.write_text("mine")
    assert folder.prepare().permissions.read_text() == "mine"
    folder.write_settings({"network": {"redis_addr": "u:secret@host"}})
    assert yaml.safe_load(folder.settings.read_text())["network"]["redis_addr"] == "u:secret@host"
    assert os.stat(folder.settings).st_mode & 0o777 == 0o600
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="choose another data directory"):
        QueueFolder(tmp_path / "file" / "queue").prepare()


def test_the_worker_gets_its_options_by_the_environment(monkeypatch):
    options = WorkerOptions("lab.py", "/data", operator="ada", port=7, limits=("calls=50",), script_seconds=9)
    for name, value in options.environment().items():
        monkeypatch.setenv(name, value)
    assert WorkerOptions.from_environment() == options
    monkeypatch.delenv(*json.loads(json.dumps(list(options.environment()))))
    with pytest.raises(RdaqError, match="rdaq queue PROFILE"):
        WorkerOptions.from_environment()


def test_a_port_that_is_taken_is_named(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(QueueError, match=f"port {port}: .*another --control-port"):
            check_free(port)
    check_free(free_port())
    words = ["queue", "sim", "--data", str(tmp_path), "--redis", "embedded"]
    assert main([*words, "--control-port", "70000"]) == 1
    assert "70000 is out of range" in capsys.readouterr().err
    assert main(["queue", "nosuch", "--data", str(tmp_path)]) == 2
    assert "unknown profile 'nosuch'" in capsys.readouterr().err


def test_addresses(monkeypatch):
    monkeypatch.delenv("QSERVER_ZMQ_CONTROL_ADDRESS", raising=False)
    assert address_of(None) == "tcp://127.0.0.1:60615"
    assert address_of("7") == "tcp://127.0.0.1:7"
    assert address_of("lab:7") == "tcp://lab:7"
    assert address_of("tcp://lab:7") == "tcp://lab:7"
    monkeypatch.setenv("QSERVER_ZMQ_CONTROL_ADDRESS", "tcp://other:7")
    assert address_of(None) == "tcp://other:7"


def test_a_queue_that_is_not_there_is_told(capsys):
    with Control(str(free_port()), timeout=0.2) as control, pytest.raises(QueueError, match="no queue answers at tcp"):
        control.ask("status")


@pytest.mark.parametrize("address", ["garbage", "ftp://127.0.0.1:1", "a b:1"])
def test_what_is_no_address_of_a_queue_is_told(address):
    with pytest.raises(QueueError, match=f"{address}' is no address of a queue → give --control HOST:PORT"):
        Control(address)


def test_what_is_no_key_of_a_queue_is_told(monkeypatch):
    monkeypatch.setenv("QSERVER_ZMQ_PUBLIC_KEY", "short")
    with pytest.raises(QueueError, match="is no key → give the manager's, of 40 characters"):
        Control("127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--metrics-port", "99999"], "port 99999 → give 1 to 65535"),
        (["--page-port", "-1"], "port -1 → give 1 to 65535"),
        (["--metrics-port", "0", "--metrics-listen", "0.0.0.0"], "0.0.0.0 can be reached from other machines"),
        (["--listen", "0.0.0.0"], "0.0.0.0 can be reached from other machines"),
        (["--tokens", "/nowhere/tokens"], "/nowhere/tokens"),
        (["--limit", "nosuch=1"], "nosuch"),
    ],
)
def test_what_the_worker_would_refuse_is_told_before_anything_is_started(tmp_path, capsys, words, said):
    code = main(["queue", "--data", str(tmp_path), "--redis", "embedded", *words])
    assert code == (2 if "nosuch=1" in words else 1)  # 2: a name that there is not
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    assert not (tmp_path / "queue").exists()
