"""Tiled through the page's door: read by whoever may look, with a key that nobody sees, and nothing can be written."""

from __future__ import annotations

import http.client
import json

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky.plans import count
from viewed import opened

from rdaq_ophyd.server import Access, Limits, Role, Server, Token

SECRET = "observer".ljust(40, "x")
AGO = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture(scope="module")
def runs(session):
    """Uids of runs that Tiled has."""
    uids = [session.RE(count([session.rig["power_meter"]], 2)).run_start_uids[0] for _ in range(3)]
    assert session.catalog.wait_drained(timeout=60)
    return uids


@pytest.fixture(scope="module")
def server(session, runs):
    with Server(session, page=0) as made:
        yield made


def get(server, path, method="GET", body=None, **headers):
    """Status, headers and body."""
    connection = http.client.HTTPConnection(server.page.split("://")[1].rstrip("/"), timeout=30)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def test_what_tiled_says_comes_through_with_links_that_lead_here_again(server, runs):
    status, headers, body = get(server, f"/api/v1/metadata/{runs[0]}")
    found = json.loads(body)["data"]
    assert (status, found["id"]) == (200, runs[0])
    assert found["links"]["self"] == f"{server.page}api/v1/metadata/{runs[0]}"
    # It is data that anybody may have recorded, and acts as no page of this site.
    assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert not {"set-cookie", "server-timing"} & {name.lower() for name in headers}
    assert get(server, "/api/v1/metadata/nobody")[0] == 404


def test_nothing_is_written_and_no_other_path_leads_to_tiled(server, runs, session):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert get(server, f"/api/v1/metadata/{runs[0]}", method, b"{}")[0] == 405
    assert get(server, "/api/v2/")[0] == 404
    assert get(server, "/healthz")[0] == 404
    for out in (
        "/api/v1/../../healthz",
        "/api/v1/%2e%2e/%2E./healthz",
        "/ui/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    ):
        assert get(server, out)[0] == 404
    assert len(session.catalog.client) == 3


def test_tiled_itself_hands_out_nothing_but_its_own_files(session, runs):
    host = session.catalog.uri.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", "/ui/" + "..%2f" * 20 + "etc%2fpasswd")
    reply = connection.getresponse()
    assert reply.status == 404
    assert b"root" not in reply.read()
    connection.close()


def test_the_key_is_shown_to_nobody(server, session, runs):
    key = str(session.catalog.api_key)
    for path in ("/api/v1/", "/ui/", "/tiled-ui-settings", f"/api/v1/metadata/{runs[0]}"):
        status, headers, body = get(server, path)
        assert status == 200
        assert key not in str(headers)
        assert key.encode() not in body


def test_the_door_and_the_limits_hold_for_it_too(session, runs):
    with Server(session, Access(tokens=[Token("screen", Role.OBSERVE, SECRET)]), page=0) as server:
        assert get(server, "/api/v1/")[0] == 401
        status, headers, _ = get(server, "/ui/browse/x")
        assert (status, headers["location"]) == (307, "/")  # where the token is asked for
        assert get(server, "/api/v1/", **AGO)[0] == 200
        assert json.loads(get(server, "/whoami", **AGO)[2])["catalog"]
        assert get(server, "/api/v1/", Host="evil.example", **AGO)[0] == 403
        assert get(server, "/api/v1/", Origin="http://evil.example", **AGO)[0] == 403
        counted = server.calls.registry.get_sample_value
        assert counted("rdaq_grpc_calls_total", {"method": "Catalog", "code": "OK"}) == 1
        assert counted("rdaq_grpc_calls_in_progress", {"method": "Catalog"}) == 0
    with Server(session, limits=Limits(client_burst=1, client_rate=1.0), page=0) as server:
        said = [get(server, "/api/v1/") for _ in range(3)]
        assert said[-1][0] == 503
        assert "client_rate" in json.loads(said[-1][2])["what"]


def test_while_tiled_is_away_it_is_said(server, session, monkeypatch):
    from rdaq_ophyd.catalog import EmbeddedCatalog

    monkeypatch.setattr(EmbeddedCatalog, "serving", False)
    status, _, body = get(server, "/api/v1/")
    assert status == 503
    assert "Tiled is not up" in json.loads(body)["what"]
    monkeypatch.setattr(EmbeddedCatalog, "serving", True)
    monkeypatch.setattr(EmbeddedCatalog, "uri", "http://127.0.0.1:1/api/v1")
    status, _, body = get(server, "/api/v1/")
    assert status == 503
    assert "Tiled does not answer" in json.loads(body)["what"]


def test_recent_runs_lead_into_tiled(browser, server, session, runs):
    session.catalog.client.create_container(key="rdaq-check")  # as a check of a catalog leaves one: it is no run
    with opened(browser, server.page) as tab:
        tab.until("document.querySelectorAll('#recent a').length >= 3")
        listed = tab.run("[...document.querySelectorAll('#recent li')].map((each) => each.textContent)")
        numbers = [int(text.split("scan ")[1].split()[0]) for text in listed]
        assert numbers == sorted(numbers, reverse=True)
        assert all("success" in text for text in listed)
        # One that is under way, and one that is refused while the page is open.
        tab.run("rdaq.recent.load()")
        assert tab.text("recent-said") == ""
        before = tab.run("document.querySelectorAll('#recent a').length")
        assert before == 3

        @bpp.run_decorator(md={"plan_name": "waits"})
        def waits():
            yield from bps.null()
            tab.until("document.querySelector('#recent .status').textContent === 'running'")

        session.RE(waits())
        tab.until("document.querySelector('#recent .status').textContent === 'success'")
        assert "waits" in tab.run("document.querySelector('#recent a').textContent")
        link = tab.run("[...document.querySelectorAll('#recent a')].at(-1).href")
        assert link == f"{server.page}ui/browse/{runs[0]}"
        tab.go(link)
        tab.until("document.body.innerText", lambda text: runs[0] in text and "primary" in text, seconds=60)
        refused = [error for error in tab.errors() if "Security Policy" in error]
        assert refused == []
        asked = tab.requests()
        assert any("/api/v1/" in url for url in asked)
        assert all(url.split("://")[1].startswith(server.page.split("://")[1]) for url in asked)
        key = str(session.catalog.api_key)
        assert not any(key in url for url in asked)
        assert key not in tab.run("document.cookie + JSON.stringify({...localStorage})")
