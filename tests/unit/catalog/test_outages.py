"""Whose fault a failed delivery is, and what the worker then does."""

from __future__ import annotations

import types

import httpx
import pytest

from rdaq_ophyd.catalog import Spool, data_layout
from rdaq_ophyd.catalog._backlog import pending_runs
from rdaq_ophyd.catalog._outages import may_pass, outage
from rdaq_ophyd.catalog._worker import Worker

REQUEST = httpx.Request("POST", "http://c.example/api/v1/metadata/")


def answered(status: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError(f"status {status}", request=REQUEST, response=httpx.Response(status))


def client(*answers: int | Exception) -> types.SimpleNamespace:
    """One whose next requests are answered so."""
    waiting = list(answers)

    def get(address: str, **_options) -> httpx.Response:
        assert address == "http://c.example/api/v1/search/"
        answer = waiting.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    context = types.SimpleNamespace(http_client=types.SimpleNamespace(get=get), api_uri="http://c.example/api/v1/")
    return types.SimpleNamespace(context=context)


@pytest.mark.parametrize("status", [401, 403, 429, 502, 503, 504])
def test_what_no_run_would_get_past(status):
    assert f"status {status}" in outage(answered(status), client())


def test_no_connection():
    assert outage(httpx.ConnectError("refused"), client()) == "Tiled does not answer: refused"


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_what_is_refused_as_such(status):
    assert outage(answered(status), client()) == ""
    assert not may_pass(answered(status))


def test_errors_of_our_own():
    assert outage(ValueError("will not have it"), client()) == ""
    assert not may_pass(ValueError("will not have it"))


def test_an_error_of_the_servers_own_is_told_from_a_database_that_is_away():
    assert outage(answered(500), client(200)) == ""
    assert may_pass(answered(500))
    assert outage(answered(500), client(500)) == "Tiled answers, its database does not"
    # After an error the server closes the connection, which the question may meet.
    assert outage(answered(500), client(httpx.ReadError("reset"), 200)) == ""
    assert outage(answered(500), client(httpx.ReadError("reset"), httpx.ConnectError("refused"))) != ""
    assert outage(answered(500), None) != ""


@pytest.mark.parametrize("shared", [True, False])
def test_with_a_shared_catalog_no_run_is_given_up_for_an_error_of_the_servers(tmp_path, monkeypatch, shared):
    monkeypatch.setattr("rdaq_ophyd.catalog._worker._MOST_ATTEMPTS", 1)
    monkeypatch.setattr("rdaq_ophyd.catalog._queue.QueuedRun.advance", _fail)
    if shared:
        (tmp_path / "catalog.toml").write_text('format = 1\nuri = "http://c.example/api/v1"\nkey_env = "K"\n')
    spool = Spool(data_layout(tmp_path))
    spool("start", {"uid": "a"})
    found = client(200)
    found.context.close = lambda: None
    worker = Worker(spool.layout, lambda: found)
    worker.deliver()
    (run,) = pending_runs(spool.layout)
    assert run.delivery.parked is not shared
    assert run.delivery.attempts == 1
    worker.close()
    spool.close()


def _fail(*_arguments) -> bool:
    raise answered(500)
