"""bluesky-httpserver before a queue: installed by those who want it, so what is here is what stands around it."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import textwrap

import pytest

from rdaq_ophyd.errors import QueueError
from rdaq_ophyd.queue._http import KEY, http_server
from rdaq_ophyd.queue._manager_process import free_port

SERVER = """
import os, sys, socket
def start_server():
    with socket.create_server((sys.argv[2], int(sys.argv[4]))) as server:
        caller, _ = server.accept()
        with caller:
            names = ["QSERVER_HTTP_SERVER_SINGLE_USER_API_KEY", "QSERVER_ZMQ_CONTROL_ADDRESS"]
            names += ["QSERVER_ZMQ_INFO_ADDRESS"]
            caller.sendall(" ".join(os.environ.get(name, "-") for name in names).encode())
        sys.stdin.read()
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Something by its name, which tells what it was given."""
    package = tmp_path / "bluesky_httpserver"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "server.py").write_text(textwrap.dedent(SERVER))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.delenv("QSERVER_HTTP_SERVER_CONFIG", raising=False)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("bluesky_httpserver", None)


def answer(port):
    while True:  # bounded by the time-out of the test
        try:
            with socket.create_connection(("127.0.0.1", port)) as caller:
                return caller.recv(1000).decode().split()
        except ConnectionRefusedError:
            continue


def test_it_gets_the_addresses_and_a_key_that_stays_the_same(installed, tmp_path):
    keys = []
    for _ in range(2):
        port = free_port()
        with http_server(port, tmp_path, "tcp://control", "tcp://info") as where:
            key, control, info = answer(port)
            assert where == f"http://127.0.0.1:{port}  its key is in {tmp_path / 'http_key'}"
        assert (control, info) == ("tcp://control", "tcp://info")
        keys.append(key)
    assert keys == [(tmp_path / "http_key").read_text()] * 2
    assert keys[0].isalnum()
    assert os.stat(tmp_path / "http_key").st_mode & 0o777 == 0o600


def test_with_logins_of_its_own_it_gets_no_key(installed, tmp_path, monkeypatch):
    monkeypatch.setenv("QSERVER_HTTP_SERVER_CONFIG", "http.yml")
    port = free_port()
    with http_server(port, tmp_path, "tcp://control", "tcp://info") as where:
        assert answer(port)[0] == "-"
    assert "as $QSERVER_HTTP_SERVER_CONFIG says" in where
    assert not (tmp_path / "http_key").exists()


def test_where_it_is_not_wanted_or_not_installed(tmp_path, monkeypatch):
    with http_server(None, tmp_path, "", "") as where:
        assert where == ""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(QueueError, match=r"rdaq-ophyd\[queue-http\]"), http_server(1, tmp_path, "", ""):
        pass
