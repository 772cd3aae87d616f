"""Clients that go as soon as they have called: a stop that has arrived goes out, and no call harms the server."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import urlsplit

import grpc
import pytest
from bare import bare_session, own_channel

from rdaq_ophyd.client import connect
from rdaq_ophyd.client._stop import stop_there
from rdaq_ophyd.server import Server, _guard, _stops
from rdaq_ophyd.stop import latch, reset
from rdaq_ophyd.wire import SERVICE, messages

CALLS = 150
GONE_AFTER = (0.0, 0.0002, 0.0005, 0.001, 0.002)
"""Seconds."""


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with bare_session(tmp_path_factory.mktemp("data"), "gone") as made:
        yield made


@pytest.fixture
def server(session):
    with Server(session, page=0) as made:
        yield made
    if latch.tripped:
        reset("the test is over", force=True)


@pytest.fixture
def counted(monkeypatch):
    """How many stops have ``arrived``, and how many ``halts`` were written."""
    made = SimpleNamespace(arrived=0, halts=0)
    guard, halt = _guard.Guard._guarding, _stops.halt_all

    def guarding(self, handler, token, call, *, ours):
        made.arrived += call == "StopAll"
        return guard(self, handler, token, call, ours=ours)

    def halt_all(reason, *, by):
        made.halts += 1
        return halt(reason, by=by)

    monkeypatch.setattr(_guard.Guard, "_guarding", guarding)
    monkeypatch.setattr(_stops, "halt_all", halt_all)
    return made


def called_and_gone(address, method, request, how):
    """Call again and again, going each time as soon as one has called; how many were answered."""
    answered = 0
    with own_channel(address) as channel:
        grpc.channel_ready_future(channel).result(20)
        ask = channel.unary_unary(f"/{SERVICE}/{method}")
        for _, after in zip(range(CALLS), itertools.cycle(GONE_AFTER), strict=False):
            call = ask.future(request.SerializeToString(), timeout=after + 0.0001 if how == "deadline" else 10)
            if how == "cancelled":
                threading.Event().wait(after)
                call.cancel()
            with contextlib.suppress(grpc.RpcError, grpc.FutureCancelledError):
                call.result()
                answered += 1
    return answered


@pytest.mark.parametrize("how", ["cancelled", "deadline"])
def test_every_stop_that_has_arrived_goes_out(server, counted, how):
    answered = called_and_gone(server.address, "StopAll", messages.StopAllRequest(reason="smoke"), how)
    with connect(server.address) as client:
        assert client.stop_all("the last").reason == "the last"
    assert counted.arrived == counted.halts > 1
    assert answered < counted.halts


@pytest.mark.parametrize("method", ["Reset", "Abort", "GetState", "ListPlans", "WatchState", "RunPlan"])
def test_a_call_that_is_over_does_no_harm(server, method):
    request = {"Reset": messages.ResetRequest(reason="x"), "RunPlan": messages.RunPlanRequest(name="x")}
    called_and_gone(server.address, method, request.get(method, messages.GetStateRequest()), "cancelled")
    with connect(server.address) as client:
        assert client.state.rig == "gone"


def test_a_stop_without_a_request_is_one_when_none_can_come_any_more(server):
    with own_channel(server.address) as channel:
        answer = channel.stream_unary(f"/{SERVICE}/StopAll")(iter(()), timeout=10)
    assert messages.StopReport.FromString(answer).reason == "asked for by a client"
    assert latch.tripped


@pytest.mark.parametrize("body", [b"", b"smo", b"smoke"])
def test_a_page_that_goes_before_it_said_why_has_stopped_everything(server, body):
    where = urlsplit(server.page)
    head = f"POST /stop HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 5\r\n\r\n".encode()
    with socket.create_connection((where.hostname, where.port), timeout=10) as page:
        page.sendall(head + body)
    end = time.monotonic() + 20
    while not latch.tripped:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert any(reason in latch.why for reason in ("smo", "asked for by a client"))


@pytest.fixture
def slow(monkeypatch):
    """Devices that are asked, and may answer later."""
    made = SimpleNamespace(asked=threading.Event(), may_answer=threading.Event())
    halt = _stops.halt_all

    def halt_all(reason, *, by):
        halted = halt(reason, by=by)

        def confirm():
            made.asked.set()
            assert made.may_answer.wait(20)
            return halted.confirm()

        return SimpleNamespace(reason=halted.reason, by=halted.by, at=halted.at, confirm=confirm)

    monkeypatch.setattr(_stops, "halt_all", halt_all)
    yield made
    made.may_answer.set()


def refuses(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it was closed in this very moment
        return True
    return False


def test_a_stop_under_way_when_the_server_ends_is_confirmed(server, slow):
    with ThreadPoolExecutor(2) as pool:
        report = pool.submit(stop_there, server.address, "smoke", timeout=30)
        assert slow.asked.wait(20)
        closed = pool.submit(server.close)
        end = time.monotonic() + 20
        while not refuses(server.address):
            assert time.monotonic() < end
        slow.may_answer.set()
        assert report.result(20).reason == "smoke"
        closed.result(20)


def test_a_stop_whose_request_has_not_come_is_none_when_the_server_ends(session, counted):
    over = threading.Event()
    with Server(session) as server, own_channel(server.address) as channel:
        call = channel.stream_unary(f"/{SERVICE}/StopAll").future(iter(over.wait, True), timeout=30)
        end = time.monotonic() + 20
        while not counted.arrived:
            assert time.monotonic() < end
            time.sleep(0.01)
        server.close()
        assert call.exception(20) is not None
        over.set()
    assert counted.halts == 0
    assert not latch.tripped


def test_a_server_that_ends_in_the_midst_of_calls_leaves_nothing(session):
    """None of gRPC's threads and sockets, which stay while a task of any call does: the fixture of all tests looks."""
    for _ in range(8):
        with Server(session) as server, own_channel(server.address) as channel:
            ask = channel.stream_unary(f"/{SERVICE}/RunPlan")
            over = threading.Event()
            calls = [ask.future(iter(over.wait, True), timeout=30) for _ in range(100)]
            with connect(server.address) as client:
                assert client.state.rig == "gone"
            over.set()
            assert not any(call.done() and call.code() is grpc.StatusCode.OK for call in calls)
