"""Clients without a token: however many they are, whatever they send, those who have one do not notice."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time

import grpc
import pytest
from bare import bare_session

from rdaq_ophyd.client import connect
from rdaq_ophyd.server import Access, Limits, Role, Server, Token
from rdaq_ophyd.server._refusals import HOLD
from rdaq_ophyd.stop import latch, reset
from rdaq_ophyd.wire import SERVICE

ALICE, BOB = Token("alice", Role.OPERATE, "a" * 40), Token("bob", Role.OBSERVE, "b" * 40)
RATE, BURST = 2.0, 10


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with bare_session(tmp_path_factory.mktemp("data"), "strangers") as made:
        yield made


@pytest.fixture
def server(session):
    limits = Limits(refused_rate=RATE, refused_burst=BURST)
    with Server(session, Access(tokens=[ALICE, BOB]), limits, page=0) as made:
        yield made


@pytest.fixture
def alice(server):
    with connect(server.address, token=ALICE.secret) as made:
        yield made


@pytest.fixture
def channel(server):
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.address, options) as made:
        yield made


def throttled(server, door="grpc"):
    return server.calls.registry.get_sample_value("rdaq_throttled_refusals_total", {"door": door}) or 0.0


def code_of(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as refused:
        call(*arguments, timeout=30, **options)
    return refused.value


class Stranger(threading.Thread):
    """Calls one after the other without looking at the answers, until it is told to end."""

    def __init__(self, channel, method, data):
        super().__init__(name=f"stranger {method}", daemon=True)
        self.call, self.data = channel.unary_unary(f"/{SERVICE}/{method}"), data
        self.over, self.codes = threading.Event(), []

    def run(self):
        while not self.over.is_set():
            try:
                self.call(self.data, timeout=30, metadata=(("authorization", f"Bearer {'c' * 40}"),))
            except grpc.RpcError as error:
                self.codes.append(error.code())


def test_a_few_refusals_are_in_words_and_further_ones_late(server, channel):
    call = channel.unary_unary(f"/{SERVICE}/GetState")
    began = time.monotonic()
    first = code_of(call, b"")
    assert first.code() is grpc.StatusCode.UNAUTHENTICATED
    assert first.details() == "no known token → give the token that the server's owner gave you"
    codes = [first.code()]
    while codes[-1] is grpc.StatusCode.UNAUTHENTICATED:
        codes.append((last := code_of(call, b"")).code())
    assert codes[-1] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert last.details() == "too many calls without a known token from 127.0.0.1"
    assert BURST <= len(codes) - 1 <= BURST + RATE * (time.monotonic() - began) + 1
    assert time.monotonic() - began >= HOLD
    assert throttled(server) == 1


def test_those_with_a_token_do_not_notice_and_stop_whatever_comes(server, alice, session):
    sent = [("GetState", b""), ("Read", b"\xff" * 20), ("RunScript", b"x" * (3 << 20)), ("StopAll", b"")]
    with contextlib.ExitStack() as stack:
        strangers = []
        for number in range(12):
            channel = grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)])
            stack.enter_context(channel)
            strangers.append(Stranger(channel, *sent[number % len(sent)]))
        for stranger in strangers:
            stranger.start()
        try:
            asked = 0
            end = time.monotonic() + 3.0
            while time.monotonic() < end or throttled(server) < 12:
                assert alice.state.rig == "strangers"
                asked += 1
            assert not latch.tripped, "a stranger's stop is none"
            with connect(server.address, token=BOB.secret) as bob:
                bob.stop_all("bob saw smoke")
            assert latch.tripped
        finally:
            reset("the test is over", force=True)
            for stranger in strangers:
                stranger.over.set()
            for stranger in strangers:
                stranger.join(40)
    codes = [code for stranger in strangers for code in stranger.codes]
    assert set(codes) == {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == throttled(server)
    assert asked >= 10


def test_requests_that_never_come_keep_nobody_out(server, alice, channel):
    """Each would take one of the calls that gRPC makes at a time, for as long as it likes."""
    silent = threading.Event()

    def nothing():
        silent.wait(60)
        yield from ()

    opened = [channel.stream_unary(f"/{SERVICE}/Read").future(nothing(), timeout=60) for _ in range(400)]
    try:
        assert alice.state.rig == "strangers"
        assert alice.stop_all("in the midst of it").reason == "in the midst of it"
        codes = {one.code() for one in opened}
        # UNAVAILABLE: more at once than one connection may have, before it was told how many.
        refused = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
        assert codes <= refused, {one.details() for one in opened}
    finally:
        silent.set()
        reset("the test is over", force=True)


def test_the_page_counts_them_too(server):
    host = server.page.removeprefix("http://").strip("/")

    def login(token):
        connection = http.client.HTTPConnection(host, timeout=30)
        try:
            connection.request("POST", "/login", token)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("Retry-After")
        finally:
            connection.close()

    answers = [login("c" * 40)]
    while answers[-1][0] == 401:
        answers.append(login("c" * 40))
    assert answers[-1] == (429, "1")
    assert len(answers) > BURST
    assert login(ALICE.secret)[0] == 204, "a token that is known is never refused"
    assert throttled(server, "page") == 1


def test_whoever_may_not_is_told_as_often_as_it_asks(server):
    with connect(server.address, token=BOB.secret) as bob:
        for _ in range(3 * BURST):
            with pytest.raises(Exception, match="bob may observe; Pause is to operate"):
                bob.pause()
    assert throttled(server) == 0
