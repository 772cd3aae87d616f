"""What proves who somebody is gets into no log, whoever logs it."""

from __future__ import annotations

import logging
import threading

import httpx
import pytest

from rdaq_ophyd.queue._http import http_server
from rdaq_ophyd.queue._manager_process import free_port
from rdaq_ophyd.queue._redaction import NoKeys

SETTINGS = ("CONFIG", "SINGLE_USER_API_KEY", "SERVER_SECRET_KEYS")


def told(name, message, *args):
    record = logging.LogRecord(name, logging.INFO, "", 0, message, args, None)
    return record.getMessage() if NoKeys().filter(record) else None


def test_of_a_request_its_path_is_logged():
    path = "/api/status?api_key=secret"
    access = told("uvicorn.access", '%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", path, "1.1", 200)
    assert access == '127.0.0.1:1 - "GET /api/status HTTP/1.1" 200'
    assert (
        told("uvicorn.error", '%s - "WebSocket %s" [accepted]', "here", path)
        == 'here - "WebSocket /api/status" [accepted]'
    )
    assert told("uvicorn.error", "what? %s", "why?") == "what? why?"


def test_of_the_settings_nothing_and_of_the_rest_everything():
    assert told("bluesky_httpserver.server", "APP settings: %s", "{'secret_keys': ['secret']}") is None
    assert told("bluesky_httpserver.server", "Using configuration from /a?b") == "Using configuration from /a?b"


def test_the_real_server_says_neither_its_keys_nor_a_query(tmp_path, monkeypatch):
    pytest.importorskip("bluesky_httpserver", reason="bluesky-httpserver is not installed (extra queue-http)")
    for name in SETTINGS:
        monkeypatch.delenv(f"QSERVER_HTTP_SERVER_{name}", raising=False)
    nobody, port = f"tcp://127.0.0.1:{free_port()}", free_port()
    with (tmp_path / "log").open("wb") as log, http_server(port, tmp_path, nobody, nobody, log.fileno()):
        answer = asked(f"http://127.0.0.1:{port}/", api_key=(tmp_path / "http_key").read_text())
        assert answer.status_code != 401
    said = (tmp_path / "log").read_text()
    assert '"GET / HTTP/1.1"' in said
    for name in ("http_key", "http_secret"):
        assert (tmp_path / name).read_text() not in said


def asked(url, **query):
    """The answer, once there is somebody to give it."""
    for _ in range(600):
        try:
            return httpx.get(url, params=query, trust_env=False, timeout=20)
        except httpx.ConnectError:
            threading.Event().wait(0.05)
    raise TimeoutError(url)
