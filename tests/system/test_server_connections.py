"""Connections that nobody uses: however many there are, there is room for whoever comes, and for a stop."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import ssl
import time
import urllib.request

import pytest
from bare import bare_session
from certificates import certificate_in
from cutproxy import CutProxy
from websockets.sync.client import connect as web

from rdaq_ophyd.client import connect
from rdaq_ophyd.client._stop import stop_there
from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.server import Access, Limits, Server, _descriptors, _server, _web_accept
from rdaq_ophyd.stop import latch, reset

MOST = 12


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with bare_session(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest.fixture
def brisk(monkeypatch):
    """Seconds of waiting are tenths."""
    monkeypatch.setattr(_server, "HANDSHAKE", 1_000)
    monkeypatch.setattr(_web_accept, "SILENT", 0.5)
    monkeypatch.setattr(_web_accept, "MOST", MOST)


@pytest.fixture(params=["plain", "TLS"])
def server(request, session, tmp_path, brisk):
    certificate, key = certificate_in(tmp_path) if request.param == "TLS" else (None, None)
    access = Access(certificate=certificate, key=key)
    with Server(session, access, Limits(connections=MOST), page=0) as made:
        yield made
    if latch.tripped:
        reset("the test is over", force=True)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def idle(address, number):
    """Connections on which nothing is said; those that the other side closes stay open here."""
    host, port = address.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            with contextlib.suppress(ConnectionResetError):
                made.append(stack.enter_context(socket.create_connection((host, int(port)), 60)))
        yield made


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(sockets):
    """How many the other side has ended."""

    def over(one):
        one.setblocking(False)
        try:
            while data := one.recv(1 << 16):
                assert data
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        return True

    return sum(map(over, sockets))


def test_idle_connections_take_no_more_descriptors_than_they_may_and_a_stop_gets_through(server):
    before = descriptors()
    with idle(server.address, 100) as sockets:
        until(lambda: ended(sockets) >= 100 - MOST)
        until(lambda: descriptors() - before - len(sockets) <= MOST)
        certificate = server._access.certificate
        report = stop_there(_named(server), "smoke", certificate=certificate, timeout=20)
        assert report.reason == "smoke"
        assert latch.tripped
        until(lambda: ended(sockets) == len(sockets))  # what said nothing is not waited for any longer


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""The first words of HTTP/2, and empty settings: RFC 9113, 3.4 and 6.5."""


def test_connections_that_say_hello_and_no_more_end_too(session, brisk, monkeypatch):
    monkeypatch.setattr(_server, "IDLE", 1_500)
    with Server(session, limits=Limits(connections=MOST)) as server, idle(server.address, MOST) as sockets:
        for one in sockets:
            one.sendall(PREFACE)
        began = time.monotonic()
        assert stop_there(server.address, "smoke", timeout=20).reason == "smoke"
        assert time.monotonic() - began > 0.5, "there was room before"
        until(lambda: ended(sockets) == len(sockets))
    reset("the test is over", force=True)


def test_a_client_that_was_silent_for_long_does_not_notice_its_new_connection(session, monkeypatch):
    monkeypatch.setattr(_server, "IDLE", 500)
    with Server(session) as server, CutProxy(server.address) as proxy, connect(proxy.address) as client:
        for number in range(1, 4):
            assert client.state.rig == "bare"
            assert proxy.accepted == number
            until(lambda: not proxy._pairs)


def _named(server):
    """The name in the certificate is localhost."""
    host = "localhost" if server._access.certificate else "127.0.0.1"
    return f"{host}:{server.address.rpartition(':')[2]}"


def test_a_client_that_is_connected_does_not_notice(server):
    with connect(_named(server), certificate=server._access.certificate) as client, idle(server.address, 60):
        for _ in range(20):
            assert client.state.rig == "bare"
        assert client.stop_all("smoke").reason == "smoke"


def trusting(server):
    """For HTTPS with a certificate for another name; None for HTTP."""
    if server._access.certificate is None:
        return None
    context = ssl.create_default_context(cafile=str(server._access.certificate))
    context.check_hostname = False
    return context


def page_of(server):
    return server.page.split("://")[1].rstrip("/")


def test_the_page_has_room_for_whoever_comes_next(server, tmp_path):
    before = descriptors()
    with idle(page_of(server), 100) as sockets:
        until(lambda: ended(sockets) >= 100 - MOST)
        until(lambda: descriptors() - before - len(sockets) <= MOST)
        with urllib.request.urlopen(f"{server.page}whoami", timeout=60, context=trusting(server)) as answer:
            assert answer.status == 200
        until(lambda: ended(sockets) == len(sockets))


def test_there_are_never_more_at_the_page_than_may_be(server, monkeypatch):
    seen, let_in = [], _web_accept.Acceptor._let_in

    def noted(self, made):
        let_in(self, made)
        seen.append(len(self._server.server_state.connections) + sum(guest.coming for guest in self._guests))

    monkeypatch.setattr(_web_accept.Acceptor, "_let_in", noted)
    with idle(page_of(server), 100):
        until(lambda: len(seen) >= 100)
    assert max(seen) <= MOST


STRANGE = (
    b"GET /ws HTTP/1.1\r\nHost: evil\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def test_sockets_that_are_not_let_in_take_no_room_either(server):
    """A refused one of TLS stays until the client has said its last word, or has had its time."""
    address, before = page_of(server).rsplit(":", 1), descriptors()
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(60):
            with contextlib.suppress(OSError):
                one = stack.enter_context(socket.create_connection((address[0], int(address[1])), 60))
                made.append(one)
                if (context := trusting(server)) is not None:
                    made[-1] = one = stack.enter_context(context.wrap_socket(one, server_hostname="localhost"))
                one.sendall(STRANGE)
            assert descriptors() - before - len(made) <= MOST + 1  # the one that is being taken

        until(lambda: answers(server))


def answers(server):
    """Whether the page does; it may have no room for a second."""
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"{server.page}whoami", timeout=60, context=trusting(server)) as answer,
    ):
        return answer.status == 200
    return False


def test_a_page_that_is_let_in_stays_when_others_come(session, brisk):
    with (
        Server(session, page=0) as server,
        web(server.page.replace("http", "ws", 1) + "ws", proxy=None) as kept,
        idle(page_of(server), 60) as sockets,
    ):
        until(lambda: ended(sockets) == len(sockets))
        kept.send('{"ping": 1}')
        assert '"pong":1' in kept.recv(10)


def test_a_process_gets_the_descriptors_that_it_needs_or_does_not_start(monkeypatch):
    set_to, now = [], [1024, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: set_to.append(limits))
    _descriptors.ensure(256)
    assert not set_to, "there are enough"
    _descriptors.ensure(1000)
    assert set_to == [(1000 + _descriptors.PAGE + _descriptors.KEPT, 4096)]
    with pytest.raises(RdaqError, match=r"5000 connections .* need 5384 .* may have 4096 .*--limit connections=NUMBER"):
        _descriptors.ensure(5000)
    now[:] = 256, resource.RLIM_INFINITY
    _descriptors.ensure(5000)
    assert set_to[-1] == (5384, resource.RLIM_INFINITY)
