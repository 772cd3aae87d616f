"""bluesky-httpserver before a queue on a real Redis, with the logins of the docs: several users, a stop."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from bluesky_queueserver_api import BPlan
from bluesky_queueserver_api.http import REManagerAPI
from nginx import free_ports
from queued import queue_process, wait_for

from rdaq_ophyd.client import connect
from rdaq_ophyd.queue._control import Control

pytest.importorskip("bluesky_httpserver", reason="bluesky-httpserver is not installed (extra queue-http)")
CONFIGURATION = Path(__file__).parents[2] / "docs" / "examples" / "queue-http.yml"
PASSWORDS = {name: f"{name}-password" for name in ("ada", "bob", "eve")}
SCAN = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 5}


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (make test-deps)")
    (port,) = free_ports(1)
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(lambda: _listens(port))
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def _listens(port):
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def queued(redis, tmp_path_factory):
    folder = tmp_path_factory.mktemp("httpqueue")
    (port,) = free_ports(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QSERVER_HTTP_SERVER_CONFIG", str(CONFIGURATION))
        for name, password in PASSWORDS.items():
            patch.setenv(f"{name.upper()}_PASSWORD", password)
        words = ["--redis", redis, "--http", str(port)]
        with queue_process(folder, *words) as made:
            assert made.process.stdout.readline().startswith(f"http://127.0.0.1:{port}  as $QSERVER_HTTP_SERVER_CONFIG")
            made.url = f"http://127.0.0.1:{port}/api"
            wait_for(lambda: _listens(port))
            yield made


class User:
    """Somebody with a login, over HTTP alone."""

    def __init__(self, url, name):
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=20)
        answer = self._http.post("/auth/provider/lab/token", data={"username": name, "password": PASSWORDS[name]})
        assert answer.status_code == 200, answer.text
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path, **parameters):
        return self._http.request("GET", path, json=parameters).json()

    def post(self, path, **parameters):
        answer = self._http.post(path, json=parameters)
        return answer.json() | {"status": answer.status_code}

    def close(self):
        self._http.close()


@pytest.fixture
def users(queued):
    made = {name: User(queued.url, name) for name in PASSWORDS}
    yield made
    for user in made.values():
        user.close()


def scan(**more):
    return {"item_type": "plan", "name": "knife_edge_scan", "kwargs": SCAN | more}


def test_one_adds_another_sees_it_run_and_both_read_the_history(users, queued):
    ada, bob = users["ada"], users["bob"]
    assert ada.post("/queue/item/add", item=scan())["success"]
    (item,) = bob.get("/queue/get")["items"]
    assert (item["name"], item["user"], item["user_group"]) == ("knife_edge_scan", "ada", "primary")
    assert bob.post("/queue/start")["success"]
    wait_for(lambda: bob.get("/status")["items_in_history"] == 1)
    (done,) = ada.get("/history/get")["items"]
    assert (done["user"], done["result"]["exit_status"]) == ("ada", "completed")
    (uid,) = done["result"]["run_uids"]
    spooled = next((queued.data / "spool").rglob(f"{uid}.jsonl")).read_text().splitlines()
    assert json.loads(spooled[1])[1]["submitted_by"] == "ada"
    wait_for(lambda: ada.get("/status")["manager_state"] == "idle")


def test_what_a_role_may_not_is_refused(users):
    eve = users["eve"]
    assert eve.get("/queue/get")["success"]
    assert eve.post("/queue/item/add", item=scan())["status"] in (401, 403)
    assert eve.post("/queue/start")["status"] in (401, 403)
    assert users["bob"].post("/permissions/reload")["status"] in (401, 403)  # an expert may


def test_a_bad_argument_is_refused_in_words(users):
    answer = users["bob"].post("/queue/item/add", item=scan(num=4))
    assert not answer["success"]
    assert "out of range" in answer["msg"]


def test_without_a_login_nothing_is_done(queued):
    with httpx.Client(base_url=queued.url, trust_env=False, timeout=20) as nobody:
        assert nobody.get("/queue/get").status_code in (401, 403)
        assert nobody.post("/queue/start").status_code in (401, 403)
        wrong = nobody.post("/auth/provider/lab/token", data={"username": "ada", "password": "wrong"})
        assert wrong.status_code == 401


def test_a_stop_beside_it_holds_for_all_users(users, queued):
    ada, bob = users["ada"], users["bob"]
    with Control(queued.control) as control, connect(queued.address) as client:
        assert ada.post("/queue/item/add", item=scan(num=2000))["success"]
        assert ada.post("/queue/start")["success"]
        wait_for(lambda: client.state.engine == "running")
        client.stop_all("somebody's sleeve")
        wait_for(lambda: ada.get("/status")["manager_state"] == "idle")
        history = bob.get("/history/get")["items"]
        assert history[-1]["result"]["exit_status"] != "completed"
        bob.post("/queue/start")  # whoever asks, nothing begins
        wait_for(lambda: bob.get("/status")["manager_state"] == "idle")
        assert bob.get("/history/get")["items"] == history
        assert client.state.engine == "idle"
        assert "somebody's sleeve" in control.status()["stopped"]
        client.reset("looked at it", force=True)
        assert ada.post("/queue/clear")["success"]


def test_queueserver_s_own_client_logs_in_as_the_docs_show(queued):
    RM = REManagerAPI(http_server_uri=queued.url.removesuffix("/api"), http_auth_provider="/lab/token")
    try:
        RM.login("bob", password=PASSWORDS["bob"])
        RM.item_add(BPlan("knife_edge_scan", "x", "power_meter", start=0, stop=2.4, num=5))
        RM.queue_start()
        RM.wait_for_idle(timeout=60)
        last = RM.history_get()["items"][-1]
        assert (last["name"], last["user"], last["result"]["exit_status"]) == ("knife_edge_scan", "bob", "completed")
    finally:
        RM.close()


def test_who_is_logged_in_makes_a_key_for_a_script_and_takes_it_back(users, queued):
    ada = users["ada"]
    key = ada.post("/auth/apikey", expires_in=3600, scopes=["read:queue", "read:status"], note="for a script")
    with httpx.Client(base_url=queued.url, trust_env=False, timeout=20) as script:
        script.headers["Authorization"] = f"ApiKey {key['secret']}"
        assert script.get("/queue/get").status_code == 200
        assert script.post("/queue/start").status_code in (401, 403)
        gone = ada._http.delete("/auth/apikey", params={"first_eight": key["secret"][:8]})
        assert gone.status_code == 200
        assert script.get("/queue/get").status_code in (401, 403)


def test_its_files_are_in_the_data_directory_and_for_their_owner(queued):
    for name in ("http.sqlite", "http_secret"):
        path = queued.data / "queue" / name
        assert path.exists()
    assert os.stat(queued.data / "queue" / "http_secret").st_mode & 0o077 == 0
    assert not Path("bluesky_httpserver.sqlite").exists()
