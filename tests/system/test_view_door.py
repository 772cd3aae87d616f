"""The page's door and its WebSocket, by clients that are no browser: who may come in, what is refused and bounded."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from contextlib import contextmanager
from socket import SHUT_RDWR

import numpy as np
import pytest
from certificates import certificate_in
from hypothesis import given, settings
from hypothesis import strategies as st
from viewed import camera_rig, fly
from watched import wait
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rdaq_ophyd import cli
from rdaq_ophyd.document_lines import decode
from rdaq_ophyd.errors import LimitError, NotAllowed, RdaqError, ServerGone
from rdaq_ophyd.server import Access, Role, Server, Token
from rdaq_ophyd.server._web_calls import MOST_CALLS
from rdaq_ophyd.stop import latch, reset
from rdaq_ophyd.wire import frame_from

BOUND = 20
WHO = {"name": "ada", "role": "observe", "catalog": False}
WORDS = ["id", "call", "request", "more", "end", "ping", "name", "names"]


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with camera_rig(tmp_path_factory.mktemp("frames"), 32, 24) as made:
        yield made


@pytest.fixture(scope="module")
def server(session):
    with Server(session, page=0) as made:
        yield made


def place(server):
    return server.page.split("://")[1].rstrip("/")


def get(server, path="/", method="GET", body=None, **headers):
    """Status, headers and body."""
    connection = http.client.HTTPConnection(place(server), timeout=BOUND)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


@contextmanager
def socket(server, **headers):
    with connect(f"ws://{place(server)}/ws", additional_headers=headers, open_timeout=BOUND, proxy=None) as made:
        yield made


def said(made):
    answer = made.recv(BOUND)
    return json.loads(answer) if isinstance(answer, str) else answer


def send_and_hear(made, sent):
    made.send(sent)
    return made.recv(BOUND)


def ask(made, call, request=None, number=1):
    made.send(json.dumps({"id": number, "call": call, "request": request or {}}))
    answers = []
    while True:
        answers.append(said(made))
        if "done" in answers[-1] or "error" in answers[-1]:
            return answers


# -- the door -------------------------------------------------------------------------------------------------


def test_the_page_and_its_files_come_with_what_keeps_them_to_themselves(server):
    status, headers, body = get(server)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<!doctype html>" in body
    assert b"style=" not in body
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert get(server, "/main.js")[1]["content-type"].startswith("text/javascript")
    for nothing in ("/nothing.js", "/..%2f_web.py", "/page/index.html"):
        assert get(server, nothing)[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "["},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_what_another_site_asks_for_is_refused(server, headers):
    for path in ("/", "/whoami", "/main.js"):
        assert get(server, path, **headers)[0] == 403
    assert get(server, "/login", "POST", b"token", **headers)[0] == 403
    if "Origin" in headers:
        with pytest.raises(InvalidStatus, match="403"), socket(server, **headers):
            pass


def test_its_own_page_and_a_tunnel_are_let_in(server):
    for host in (place(server), "localhost:9999", "[::1]:80"):
        assert get(server, Host=host, Origin=f"http://{host}")[0] == 200
    with socket(server, Origin=f"http://{place(server)}") as made:
        made.send('{"ping": 7}')
        answer = said(made)
    assert (answer["pong"], answer["who"], answer["role"]) == (7, "local", "operate")


def test_a_token_is_shown_once_and_never_in_an_address(session):
    secret = "s" * 40
    with Server(session, Access(tokens=[Token("ada", Role.OBSERVE, secret)]), page=0) as server:
        assert get(server)[0] == 200  # the page itself is no secret
        assert get(server, "/whoami")[0] == 401
        with pytest.raises(InvalidStatus, match="401"), socket(server):
            pass
        with pytest.raises(InvalidStatus, match="401"), socket(server, Cookie="rdaq-1=x"):
            pass
        assert get(server, f"/whoami?token={secret}")[0] == 401
        assert get(server, "/login", "POST", b"x" * 40)[0] == 401
        assert get(server, "/login", "POST", b"x" * 5000)[0] == 413
        status, headers, _ = get(server, "/login", "POST", secret.encode())
        cookie = headers["set-cookie"]
        assert status == 204
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert secret not in cookie
        for shown in ({"Cookie": cookie.split(";")[0]}, {"Authorization": f"Bearer {secret}"}):
            assert json.loads(get(server, "/whoami", **shown)[2]) == WHO
            with socket(server, **shown) as made:
                assert ask(made, "Set", {"name": "cam.exposure"})[-1]["error"]["kind"] == "NotAllowed"
                assert ask(made, "GetState")[-1] == {"id": 1, "done": True}
                assert "item" in ask(made, "StopAll", {"reason": "an observer may"})[0]
        assert latch.tripped
    reset("the test is over", force=True)


def test_with_a_certificate_it_is_served_by_tls_alone(session, tmp_path):
    certificate, key = certificate_in(tmp_path)
    with Server(session, Access(certificate=certificate, key=key), page=0) as server:
        assert server.page.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=certificate)
        port = int(server.page.rstrip("/").rsplit(":", 1)[1])
        connection = http.client.HTTPSConnection("localhost", port, timeout=BOUND, context=context)
        connection.request("POST", "/login", b"")
        reply = connection.getresponse()
        assert "Secure" in reply.getheader("set-cookie")
        connection.close()
        address = f"https://localhost:{port}"
        assert cli.main(["view", address, "--no-browser", "--ca", str(certificate)]) == 0
        assert cli.main(["view", address, "--no-browser"]) == 1


def test_a_port_that_is_taken_or_is_none_is_said(session, server):
    taken = int(server.page.rstrip("/").rsplit(":", 1)[1])
    for port in (taken, 70000):
        with pytest.raises(RdaqError, match=str(port)):
            Server(session, page=port)
    with pytest.raises(NotAllowed, match="can be reached from other machines"):
        Server(session, Access("0.0.0.0"), page=0)
    with Server(session) as without:
        assert without.page == ""


# -- calls ----------------------------------------------------------------------------------------------------


def test_calls_streams_and_documents(server, session):
    with socket(server) as made:
        (devices, done) = ask(made, "ListDevices")
        assert [each["name"] for each in devices["item"]["devices"]] == ["cam"]
        assert done == {"id": 1, "done": True}
        made.send('{"id": 5, "call": "StreamDocuments"}')
        begun = said(made)
        assert (begun["id"], begun["begun"], begun["told"]["rdaq-lost"]) == (5, True, "0")
        fly(session, 2)
        names = []
        while "stop" not in names:
            names.append(decode(base64.b64decode(said(made)["item"]["line"]))[0])
        assert names[:2] == ["start", "descriptor"]
        made.send('{"id": 5, "end": true}')
        while said(made) != {"id": 5, "done": True}:
            pass


@pytest.mark.parametrize("ends", [1, 3])
def test_whoever_ends_a_call_at_once_is_told_of_its_end(server, ends):
    with socket(server) as made:
        for number in range(MOST_CALLS + 5):  # and none of them stays
            begin = {"id": number, "call": "StreamFrames", "request": {"camera": "cam", "scale": 1}}
            for what in (begin, *[{"id": number, "end": True}] * ends):
                made.send(json.dumps(what))
            while (answer := said(made)) != {"id": number, "done": True}:
                assert answer["begun"], answer


def test_a_stop_is_made_although_its_client_is_gone_the_next_moment(server):
    for attempt in range(20):
        with socket(server) as made:
            made.send(json.dumps({"id": 1, "call": "StopAll", "request": {"reason": f"attempt {attempt}"}}))
            made.socket.shutdown(SHUT_RDWR)
        wait(lambda: latch.tripped, "it is stopped")
        assert f"attempt {attempt}" in latch.why
        reset("the next attempt", force=True)


def test_frames_are_binary_and_come_by_credits(server, session):
    with socket(server) as made:
        made.send('{"id": 1, "call": "StreamFrames", "request": {"camera": "cam", "scale": 1, "credits": 1}}')
        assert said(made)["begun"]
        ask_again = '{"id": 2, "call": "StreamFrames", "request": {"camera": "cam", "scale": 1}}'
        made.send(ask_again)
        assert "open another connection" in said(made)["error"]["hint"]
        fly(session, 5)
        first, pixels = frame_from(said(made))
        assert pixels.shape == (24, 32)
        made.send('{"id": 1, "more": {"credits": 1}}')
        second, pixels = frame_from(said(made))
        assert second.sequence > first.sequence or second.offered == 5
        assert pixels.dtype == np.uint16
        made.send('{"id": 1, "more": {"credits": 257}}')
        assert "frames granted at once" in said(made)["error"]["what"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("no JSON", ""),
        ("[" * 50000, ""),
        ("[1]", "LimitError"),
        ('{"call": "GetState"}', "LimitError"),
        ('{"id": true, "call": "GetState"}', "LimitError"),
        ('{"id": 1, "call": "__init__"}', "UnknownName"),
        ('{"id": 1, "call": "GetStat"}', "UnknownName"),
        ('{"id": 1, "call": "Read", "request": {"names": 7}}', "LimitError"),
        ('{"id": 1, "call": "Read", "request": {"nobody": 7}}', "LimitError"),
        ('{"id": 1, "call": "Read", "request": []}', "LimitError"),
        ('{"id": 1, "call": "Read", "request": {"names": ["nobody"]}}', "UnknownName"),
        ('{"id": 1, "call": "Read", "request": {}}', "LimitError"),
    ],
)
def test_what_is_no_call_is_refused_in_words(server, text, kind):
    with socket(server) as made:
        made.send(text)
        assert said(made)["error"]["kind"] == kind
        assert "item" in ask(made, "GetState")[0]


def test_calls_are_counted_with_those_of_grpc(session):
    def count(server, call, code):
        return server.calls.registry.get_sample_value("rdaq_grpc_calls_total", {"method": call, "code": code}) or 0

    tokens = [Token("ada", Role.OBSERVE, "a" * 40)]
    with Server(session, Access(tokens=tokens), page=0) as server:
        with socket(server, Authorization=f"Bearer {'a' * 40}") as made:
            ask(made, "GetState")
            ask(made, "Read", {"names": ["nobody"]})
            ask(made, "Set", {"name": "cam.exposure"})
            made.send('{"id": 3, "call": "WatchState"}')
            assert said(made)["begun"]
            under_way = {"method": "WatchState"}
            assert server.calls.registry.get_sample_value("rdaq_grpc_calls_in_progress", under_way) == 1
            made.send('{"id": 3, "end": true}')
            while said(made) != {"id": 3, "done": True}:
                pass
        assert (get(server, "/api/v1/")[0], get(server, "/ui/")[0]) == (401, 307)
        counted = {
            ("GetState", "OK"): 1,
            ("Read", "NOT_FOUND"): 1,
            ("Set", "PERMISSION_DENIED"): 1,
            ("WatchState", "CANCELLED"): 1,
            ("Catalog", "UNAUTHENTICATED"): 2,
        }
        assert {each: count(server, *each) for each in counted} == counted
        sent = server.calls.registry.get_sample_value("rdaq_grpc_sent_bytes_total", {"method": "GetState"})
        assert sent > 50


def test_a_connection_has_so_many_calls_but_a_stop_always(server):
    with socket(server) as made:
        for number in range(MOST_CALLS):
            made.send(json.dumps({"id": number, "call": "WatchState"}))
        made.send(json.dumps({"id": 0, "call": "GetState"}))
        made.send(json.dumps({"id": 99, "call": "GetState"}))
        made.send(json.dumps({"id": 100, "call": "StopAll", "request": {"reason": "stop"}}))
        errors, stopped = {}, False
        while not stopped:
            answer = said(made)
            if "error" in answer:
                errors[answer["id"]] = answer["error"]["what"]
            stopped = answer.get("id") == 100 and "item" in answer
        assert "there is a call 0 already" in errors[0]
        assert f"{MOST_CALLS} calls at a time" in errors[99]
    reset("the test is over", force=True)


def test_what_is_binary_or_too_long_ends_the_connection(server):
    for sent in (b"binary", "x" * (2 << 20)):
        with socket(server) as made, pytest.raises(ConnectionClosed):
            send_and_hear(made, sent)


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
        max_leaves=8,
    )
)
def test_no_message_brings_it_down(server, content):
    with socket(server) as made:
        made.send(json.dumps(content))
        made.send('{"ping": "over"}')
        while said(made).get("pong") != "over":
            pass


# -- the command line -----------------------------------------------------------------------------------------


def test_view_prints_the_address_and_opens_it(server, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert cli.main(["view", place(server)]) == 0
    assert (capsys.readouterr().out.strip(), opened) == (server.page, [server.page])
    assert cli.main(["view", place(server), "--no-browser"]) == 0
    assert len(opened) == 1
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert cli.main(["view", place(server)]) == 1
    assert "no browser was found" in capsys.readouterr().err


def test_view_says_when_there_is_no_page(capsys, server):
    from rdaq_ophyd.client.view import view

    with pytest.raises(ServerGone, match="does `rdaq serve` run there"):
        view("127.0.0.1:1", port=0)
    with pytest.raises(LimitError, match="is no host"):
        view(":x", port=1)
    with pytest.raises(ServerGone):
        view(server.address, port=1, browser=False)  # gRPC's port


def test_a_browser_stays_let_in_when_the_rig_is_started_anew(session):
    ada, secret = Token("ada", Role.OBSERVE, "s" * 40), b"s" * 40
    with Server(session, Access(tokens=[ada]), page=0) as first:
        port = int(first.page.rstrip("/").rsplit(":", 1)[1])
        shown = {"Cookie": get(first, "/login", "POST", secret)[1]["set-cookie"].split(";")[0]}
        assert get(first, "/whoami", **shown)[0] == 200
    with Server(session, Access(tokens=[ada]), page=port) as second:
        assert json.loads(get(second, "/whoami", **shown)[2]) == WHO
        with socket(second, **shown) as made:
            assert "item" in ask(made, "GetState")[0]
    rotated = Token("ada", Role.OBSERVE, "t" * 40)
    with Server(session, Access(tokens=[rotated]), page=port) as third:
        assert get(third, "/whoami", **shown)[0] == 401
