"""Whatever is sent in whatever number by those who may come in: there is room for a stop, and for the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time

import grpc
import pytest
from bare import bare_session, own_channel
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as web

from rdaq_ophyd.client import connect
from rdaq_ophyd.server import Access, Limits, Role, Server, Token, _guard
from rdaq_ophyd.server._web_calls import MOST_STOPS
from rdaq_ophyd.stop import Halted, latch, reset
from rdaq_ophyd.wire import SERVICE, messages

ALICE, BOB = Token("alice", Role.OPERATE, "a" * 40), Token("bob", Role.OBSERVE, "b" * 40)
BOBS = (("authorization", f"Bearer {BOB.secret}"),)
LIMITS = Limits(calls=40, client_calls=30, streams=20)


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with bare_session(tmp_path_factory.mktemp("data"), "floods") as made:
        yield made


@pytest.fixture(params=["tokens", "no tokens"])
def server(request, session):
    access = Access(tokens=[ALICE, BOB]) if request.param == "tokens" else Access()
    with Server(session, access, LIMITS) as made:
        yield made
    if latch.tripped:
        reset("the test is over", force=True)


@pytest.fixture
def alice(server):
    with connect(server.address, token=ALICE.secret) as made:
        yield made


class Silent(contextlib.ExitStack):
    """Calls that were begun and whose requests do not come, over many connections."""

    def __init__(self, address, token):
        super().__init__()
        self.address, self.metadata = address, (("authorization", f"Bearer {token.secret}"),)
        self.over, self.calls = threading.Event(), []
        self.callback(self.over.set)

    def begin(self, method, number, *, connections):
        for _ in range(connections):
            channel = self.enter_context(own_channel(self.address))
            call = channel.stream_unary(f"/{SERVICE}/{method}")
            for _ in range(number // connections):
                self.calls.append(call.future(self._nothing(), timeout=60, metadata=self.metadata))

    def _nothing(self):
        self.over.wait(60)
        yield from ()

    def until_refused(self, number):
        end = time.monotonic() + 20
        while sum(call.done() for call in self.calls) < number:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("method", ["Read", "StopAll", "RunPlan"])
def test_requests_that_do_not_come_keep_no_stop_out(server, alice, method):
    with Silent(server.address, BOB if method != "RunPlan" else ALICE) as silent:
        silent.begin(method, 400, connections=8)
        if method != "StopAll":
            silent.until_refused(400 - LIMITS.calls)
        assert not latch.tripped, "a stop whose request has not come is none yet"
        assert stopped_by_bob(server).reason == "smoke"
        assert latch.tripped
        if method == "StopAll":
            assert alice.state.rig == "floods", "stops take nobody's room"


def stopped_by_bob(server):
    """By a client that comes now, over a connection of its own."""
    with own_channel(server.address) as channel:
        call = channel.unary_unary(f"/{SERVICE}/StopAll")
        request = messages.StopAllRequest(reason="smoke").SerializeToString()
        return messages.StopReport.FromString(call(request, timeout=10, metadata=BOBS))


def test_a_request_that_does_not_come_is_not_waited_for_long(server, alice, monkeypatch):
    monkeypatch.setattr(_guard, "FIRST_WITHIN", 0.3)
    with Silent(server.address, ALICE) as silent:
        silent.begin("Read", 5, connections=1)
        silent.begin("StopAll", 5, connections=1)
        silent.begin("WatchState", 5, connections=1)
        silent.until_refused(15)
        assert {call.code() for call in silent.calls} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert "Read: its request did not come within 0.3 s" in silent.calls[0].details()
    assert not latch.tripped
    assert alice.state.rig == "floods"


def test_a_call_without_a_request_is_told_so(server, alice):
    with own_channel(server.address) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.stream_unary(f"/{SERVICE}/Read")(iter(()), timeout=10, metadata=BOBS)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Read: there was no request" in refused.value.details()


def test_a_client_has_only_so_many_calls_at_a_time(session):
    with (
        Server(session, Access(tokens=[ALICE, BOB]), LIMITS) as server,
        connect(server.address, token=ALICE.secret) as alice,
        Silent(server.address, BOB) as silent,
    ):
        silent.begin("Read", 100, connections=5)
        silent.until_refused(100 - LIMITS.client_calls)
        (told,) = {call.details() for call in silent.calls if call.done()}
        assert "30 calls of yours are under way (client_calls)" in told
        assert alice.state.rig == "floods"


@pytest.fixture
def confirmations(monkeypatch):
    """Of stops, as they begin."""
    begun, confirm = [], Halted.confirm

    def counted(halted):
        begun.append(halted.reason)
        return confirm(halted)

    monkeypatch.setattr(Halted, "confirm", counted)
    return begun


def audit_log(session):
    return session.settings.data_dir / "session" / "audit.log"


def test_a_flood_of_stops_that_reads_no_answers_is_bounded(session, confirmations):
    text = json.dumps({"id": 0, "call": "StopAll", "request": {"reason": "x" * 900}}).replace("0", "%d", 1)
    with Server(session, page=0) as server:
        before = audit_log(session).stat().st_size
        where = server.page.replace("http", "ws", 1) + "ws"
        most, over = [0], threading.Event()

        def look():
            while not over.wait(0.02):
                most[0] = max(most[0], sum("Connection._run" in repr(task) for task in asyncio.all_tasks(server.loop)))

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        trips = latch.trips
        try:
            with web(where, max_queue=1, close_timeout=0.1, proxy=None) as socket:
                socket.socket.settimeout(3)
                for number in range(20_000):
                    socket.send(text % number)
        except (OSError, ConnectionClosed):  # its buffers are full: it reads nothing, so no more of it is read
            pass
        assert latch.tripped
        assert latch.trips != trips
        report = stopped_by_bob(server)
        assert report.reason == "smoke"
        over.set()
        looking.join(10)
    assert 1 <= most[0] <= MOST_STOPS
    assert len(confirmations) < 20
    assert audit_log(session).stat().st_size - before < 100_000


def test_a_flood_of_stops_over_grpc_stops_each_time_and_asks_seldom(session, confirmations):
    with Server(session) as server, own_channel(server.address) as channel:
        call = channel.unary_unary(f"/{SERVICE}/StopAll")
        data = messages.StopAllRequest(reason="again").SerializeToString()
        waiting = [call.future(data, timeout=30) for _ in range(120)]
        assert {messages.StopReport.FromString(each.result()).reason for each in waiting} == {"again"}
        assert len(confirmations) <= 12
