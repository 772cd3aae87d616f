"""Metrics and health over real sockets: who is let in, who is slow, what hangs."""

import json
import socket
import ssl
import urllib.error
import urllib.request

import pytest
from certificates import certificate_in
from prometheus_client import CollectorRegistry, Counter

from rdaq_ophyd.errors import NotAllowed, RdaqError
from rdaq_ophyd.operations import Check, Endpoint
from rdaq_ophyd.operations._http import CALLERS
from rdaq_ophyd.server import Access, Role, Token


class Spoken:
    """Health as it is told."""

    alive, can_work = True, True

    def live(self):
        return [Check("loop", self.alive, "ran just now")]

    def ready(self):
        return [*self.live(), Check("devices", self.can_work)]


@pytest.fixture
def spoken():
    return Spoken()


@pytest.fixture
def make(spoken):
    made = []

    def endpoint(access=None, **options):
        registry = CollectorRegistry()
        Counter("told_total", "how often", registry=registry).inc(3)
        access = access or Access()
        ready = Endpoint(
            registry, spoken, host=access.host, port=access.port, allow=access.who, tls=access.tls(), **options
        )
        made.append(ready)
        return ready

    yield endpoint
    for each in made:
        each.close()


def get(url, context=None, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10, context=context) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_and_health_are_told(make, spoken):
    endpoint = make()
    assert "told_total 3.0" in get(endpoint.url + "/metrics")[1]
    assert get(endpoint.url + "/healthz?why")[0] == get(endpoint.url + "/readyz")[0] == 200
    spoken.can_work = False
    code, body = get(endpoint.url + "/readyz")
    assert (code, get(endpoint.url + "/healthz")[0]) == (503, 200)
    assert json.loads(body) == {
        "status": "unavailable",
        "checks": {"loop": {"ok": True, "detail": "ran just now"}, "devices": {"ok": False, "detail": ""}},
    }
    spoken.alive = False
    assert get(endpoint.url + "/healthz")[0] == 503
    assert get(endpoint.url + "/elsewhere")[0] == 404


def test_with_tokens_and_tls_only_who_is_known(make, tmp_path):
    certificate, key = certificate_in(tmp_path)
    tokens = [Token("prometheus", Role.OBSERVE, "p" * 40)]
    endpoint = make(Access("localhost", 0, tokens, certificate, key))
    trusted = ssl.create_default_context(cafile=certificate)
    assert endpoint.url.startswith("https://localhost:")
    for path in ("/metrics", "/healthz", "/readyz"):
        assert get(endpoint.url + path, trusted)[0] == 401
        assert get(endpoint.url + path, trusted, Authorization=f"Bearer {'x' * 40}")[0] == 401
        assert get(endpoint.url + path, trusted, Authorization=f"Bearer {'p' * 40}")[0] == 200
    with pytest.raises(OSError):  # noqa: PT011 whatever a client makes of it
        get(endpoint.url.replace("https", "http") + "/metrics")


@pytest.mark.parametrize(
    "sent", [b"", b"GET", b"\xff\x00\n\n", b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 500, b"POST / HTTP/1.0\r\n\r\n"]
)
def test_what_is_no_request_harms_nobody(make, sent):
    endpoint = make()
    with socket.create_connection(("127.0.0.1", int(endpoint.url.rpartition(":")[2])), 5) as odd:
        odd.sendall(sent)
        odd.shutdown(socket.SHUT_WR)
        while odd.recv(4096):
            pass
    assert get(endpoint.url + "/healthz")[0] == 200


def test_callers_that_say_nothing_keep_nobody_out(make):
    endpoint = make()
    address = ("127.0.0.1", int(endpoint.url.rpartition(":")[2]))
    silent = [socket.create_connection(address, 5) for _ in range(CALLERS + 4)]
    assert get(endpoint.url + "/healthz")[0] == 200
    assert silent[0].recv(1) == b""  # the oldest were ended
    for each in silent:
        each.close()


def test_a_port_that_is_taken_is_said(make):
    taken = make()
    with pytest.raises(RdaqError, match="give another --metrics-port"):
        make(Access(port=int(taken.url.rpartition(":")[2])))


def test_another_address_needs_tokens_and_tls():
    with pytest.raises(NotAllowed, match="can be reached from other machines"):
        Access("0.0.0.0", 9464)
