"""Calls over the WebSocket that are paid with credits: never an answer too many, and whatever is said is answered."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from starlette.websockets import WebSocketDisconnect

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.operations import CallMetrics
from rdaq_ophyd.server._limits import Gate, Limits
from rdaq_ophyd.server._web_calls import Connection
from rdaq_ophyd.server._web_credits import MOST_CREDITS, Credits, credits_in
from rdaq_ophyd.wire import messages


class Socket:
    """A WebSocket whose client says what a test wants."""

    def __init__(self):
        self.client = None
        self.said = asyncio.Queue()
        self.texts, self.blocks = [], []

    async def receive_text(self):
        text = await self.said.get()
        if text is None:
            raise WebSocketDisconnect
        return text

    async def send_text(self, text):
        self.texts.append(json.loads(text))

    async def send_bytes(self, data):
        self.blocks.append(data)

    async def close(self, code):
        pass

    def say(self, **what):
        self.said.put_nowait(json.dumps(what))


class Service:
    """Samples without end, numbered; what was made is counted."""

    def __init__(self, most=None):
        self.made, self.closed, self.most = 0, 0, most

    async def StreamSamples(self, request, context):
        await context.send_initial_metadata(())
        try:
            while self.most is None or self.made < self.most:
                self.made += 1
                yield b"%d" % self.made
                await asyncio.sleep(0)
        finally:
            self.closed += 1

    async def StreamFrames(self, requests, context):
        async for request in requests:
            yield b"%d" % request.credits

    async def GetState(self, request, context):
        return messages.State(rig="here")


async def talking(talk, service=None, socket=None):
    """What ``talk(socket, service)`` made of a connection."""
    socket, service = socket or Socket(), service or Service()
    access = SimpleNamespace(tokens=(), check=lambda _token, _name: None, check_known=lambda _token: None)
    token = SimpleNamespace(name="local", role="operate")
    audit = SimpleNamespace(note=lambda *_: None)
    connection = Connection(service, access, audit, Gate(Limits()), CallMetrics(), socket, token)
    serving = asyncio.create_task(connection.serve())
    try:
        await talk(socket, service)
    finally:
        socket.said.put_nowait(None)
        await asyncio.wait_for(serving, 10)
    return socket, service


async def quiet(socket):
    """Wait until all that was said is taken, and all that it leads to has been done."""
    for _ in range(300):
        await asyncio.sleep(0)
    assert socket.said.empty()


@given(grants=st.lists(st.integers(0, 10), min_size=1, max_size=12))
@settings(deadline=None)
def test_there_are_as_many_answers_as_credits_and_no_more_are_made(grants):
    async def talk(socket, service):
        first, *others = grants
        socket.say(id=1, call="StreamSamples", request={"name": "adc"}, credits=first)
        given_ = first
        for number in others:
            await quiet(socket)
            assert len(socket.blocks) == service.made == given_
            socket.say(id=1, credits=number)
            given_ += number
        await quiet(socket)
        assert [int(block) for block in socket.blocks] == list(range(1, given_ + 1))
        assert service.made == given_

    _socket, service = asyncio.run(talking(talk))
    assert service.closed == (service.made > 0)  # with its connection a stream ends


async def test_without_credits_all_come_as_they_always_did():
    async def talk(socket, _service):
        socket.say(id=1, call="StreamSamples", request={"name": "adc"})
        await quiet(socket)

    socket, _ = await talking(talk, Service(most=100))
    assert len(socket.blocks) == 100
    assert socket.texts[-1] == {"id": 1, "done": True}


async def test_a_stream_that_waits_for_credits_can_be_ended():
    async def talk(socket, service):
        socket.say(id=1, call="StreamSamples", request={"name": "adc"}, credits=3)
        await quiet(socket)
        socket.say(id=1, end=True)
        await quiet(socket)
        assert service.closed == 1
        assert socket.texts[-1] == {"id": 1, "done": True}
        socket.say(id=1, credits=3)  # of one that is over: no error
        await quiet(socket)

    socket, _ = await talking(talk)
    assert len(socket.blocks) == 3
    assert not [each for each in socket.texts if "error" in each]


@pytest.mark.parametrize("credits_", [-1, MOST_CREDITS + 1, 1.5, "8", True, None, [1], 10**30])
async def test_what_is_no_number_of_credits_is_refused(credits_):
    with pytest.raises(LimitError, match="credits"):
        credits_in({"credits": credits_})

    async def talk(socket, service):
        socket.say(id=1, call="StreamSamples", request={"name": "adc"}, credits=credits_)
        await quiet(socket)
        assert service.made == 0

    socket, _ = await talking(talk)
    assert [each["error"]["kind"] for each in socket.texts] == ["LimitError"]


@pytest.mark.parametrize(("call", "request_"), [("GetState", {}), ("StreamFrames", {"camera": "cam", "credits": 1})])
async def test_calls_that_have_other_credits_or_none_are_refused_them(call, request_):
    async def talk(socket, _service):
        socket.say(id=1, call=call, request=request_, credits=1)
        await quiet(socket)

    socket, _ = await talking(talk)
    assert "takes no credits" in socket.texts[0]["error"]["what"]


async def test_too_many_at_once_are_refused_and_what_was_granted_stays():
    granted = Credits(MOST_CREDITS - 1)
    with pytest.raises(LimitError, match="at once"):
        granted.grant(2)
    granted.grant(1)
    for _ in range(MOST_CREDITS):
        await asyncio.wait_for(granted.one(), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(granted.one(), 0)


async def test_credits_for_a_call_that_was_begun_without_are_refused():
    async def talk(socket, _service):
        socket.say(id=1, call="StreamSamples", request={"name": "adc"})
        socket.say(id=1, credits=4)
        await quiet(socket)

    socket, _ = await talking(talk)
    assert any("without credits" in each.get("error", {}).get("what", "") for each in socket.texts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["id", "call", "request", "more", "end", "credits", "ping"])
CALLS = st.sampled_from(["StreamSamples", "GetState", "Nothing"])
KNOWN = st.fixed_dictionaries({}, optional={"id": st.integers(0, 3), "call": CALLS, "credits": st.integers(0, 9)})
SAID = st.tuples(st.dictionaries(KEYS, JSON, max_size=5), KNOWN).map(lambda both: both[0] | both[1])


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_whatever_is_said_the_connection_goes_on(data: DataObject):
    said = data.draw(st.lists(SAID.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=20), max_size=8))

    async def talk(socket, service):
        for text in said:
            socket.said.put_nowait(text)
        socket.say(ping=7)
        while not any(each.get("pong") == 7 and "time" in each for each in socket.texts):
            await asyncio.wait_for(asyncio.sleep(0), 10)

    socket, _ = asyncio.run(talking(talk, Service(most=20)))
    for told in socket.texts:
        assert {"pong", "begun", "item", "done", "error"} & set(told)


class Deaf(Socket):
    """A WebSocket whose client goes while it is answered."""

    async def send_text(self, text):
        raise WebSocketDisconnect


@pytest.mark.parametrize("said", [{"ping": 7}, {"id": 1, "call": "Nothing"}, {"id": 1, "call": "GetState"}])
async def test_a_client_that_goes_while_it_is_answered_is_no_error(said, caplog):
    async def talk(socket, _service):
        socket.say(**said)
        await quiet(socket)

    with caplog.at_level("INFO"):
        await talking(talk, socket=Deaf())
    assert caplog.text == ""
