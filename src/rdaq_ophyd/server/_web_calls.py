"""The calls of ``daq.proto`` over a WebSocket: the same service, with its messages as JSON.

The client says ``{"id": 1, "call": "Move", "request": {…}}``, ``{"id": 1, "more": {…}}`` for a further request of the
same call, ``{"id": 1, "end": true}`` to end it, and ``{"ping": 7}``. The server answers ``{"id": 1, "begun": true,
"told": {…}}`` where a call tells that it has, with its initial metadata, ``{"id": 1, "item": {…}}`` for each answer,
then ``{"id": 1, "done": true}`` or ``{"id": 1, "error": {"kind", "what", "hint", "about"}}``.

A call that is begun with ``"credits": 8`` gets so many answers, and more as ``{"id": 1, "credits": 4}`` grants them:
what a client has no room for is not even made. A frame's credits are in its requests instead, as gRPC has them.

Frames and blocks of samples are binary, as gRPC carries them. They bear no number: a connection has one such call at a
time, and whoever wants several of them opens several connections. So a stop, on a connection of its own, never waits
behind a frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import orjson
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message_factory import GetMessageClass
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from rdaq_ophyd.errors import LimitError, NotAllowed, UnknownName
from rdaq_ophyd.operations import CallMetrics
from rdaq_ophyd.wire import DaqServicer, error_message, messages

from ._access import OBSERVING, Access, Token
from ._audit import Audit
from ._guard import BY_HAND, CALLER, QUITS, in_words, note, status_of
from ._limits import Gate
from ._web_credits import Credits, credits_in

logger = logging.getLogger(__name__)
METHODS = messages.DESCRIPTOR.services_by_name["Daq"].methods_by_name
BINARY = BY_HAND
"""Calls whose answers are binary."""
GONE = (WebSocketDisconnect, WebSocketDisconnected)
"""When the client has gone: heard by who reads, and by who writes or reads on."""
REVOKED = 1008
"""What a WebSocket is told whose token was taken away (RFC 6455: policy)."""
MOST_CALLS = 32
"""Calls of one connection at a time, besides those that stop everything."""
MOST_STOPS = 8
"""Of one connection that were not answered yet; while there are as many, nothing more of it is read. Each of them has
stopped everything."""
MOST_WAITING = 256
"""Further requests of one call that were not looked at yet."""


class Connection:
    """One WebSocket, from its acceptance to its end; then all its calls are ended.

    :param service: whose calls are made.
    :param metrics: counts them, with those of gRPC.
    :param socket: accepted.
    :param token: whose it is.
    """

    def __init__(
        self,
        service: DaqServicer,
        access: Access,
        audit: Audit,
        gate: Gate,
        metrics: CallMetrics,
        socket: WebSocket,
        token: Token,
    ) -> None:
        self._service, self._access, self._audit, self._gate, self._metrics = service, access, audit, gate, metrics
        self._socket, self._token = socket, token
        client = socket.client
        self.peer = f"page:{client.host}:{client.port}" if client else "page"
        self._calls: dict[int, _Call] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no call is under way."""
        return not self._calls

    async def serve(self) -> None:
        """Until the client goes, or its token is no longer valid: then a page asks its person for the new one."""
        code = 1003  # nothing is taken but texts
        try:
            while True:
                await self._take(await self._socket.receive_text())
                self._access.check_known(self._token)
                await self._few_stops()
        except (*GONE, KeyError):  # starlette's KeyError: a binary message, which no client of ours sends
            pass
        except NotAllowed:
            code = REVOKED
        finally:
            tasks = [call.task for call in self._calls.values() if call.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(*GONE, RuntimeError):  # it is closed
                await self._socket.close(code)

    async def _take(self, text: str) -> None:
        number = None
        try:
            said = orjson.loads(text)
            if not isinstance(said, dict):
                raise LimitError("this is no object", hint='{"id": 1, "call": "GetState", "request": {}}')
            if "ping" in said:
                about = {"pong": said["ping"], "time": time.time(), "who": self._token.name, "role": self._token.role}
                await self._send(about)
                return
            number = said.get("id")
            if not isinstance(number, int) or isinstance(number, bool):
                raise LimitError("a call needs a number", hint='"id": 1')
            self._do(number, said)
        except GONE:
            raise  # nobody is there who could be told
        except Exception as error:  # noqa: BLE001 each reaches the client, in words
            await self._refuse(number, error)

    def _do(self, number: int, said: dict[str, Any]) -> None:
        call = self._calls.get(number)
        if "call" in said:
            if call is not None:
                raise LimitError(f"there is a call {number} already", hint="give each its own number")
            self._begin(number, str(said["call"]), said.get("request", {}), credits_in(said))
        elif call is not None and "more" in said:  # one that has ended meanwhile needs no more
            call.more(said["more"])
        elif call is not None and "credits" in said:
            call.grant(credits_in(said) or 0)
        elif call is not None and said.get("end"):
            call.end()

    def _begin(self, number: int, name: str, request: Any, granted: int | None) -> None:
        if name not in METHODS:
            raise UnknownName.among("call", name, METHODS)
        if len(self._calls) >= MOST_CALLS and name != "StopAll":
            raise LimitError(f"{len(self._calls)} calls at a time", hint="end some, or wait for their ends")
        if name in BINARY and any(call.name in BINARY for call in self._calls.values()):
            raise LimitError(f"{name} beside another call with binary answers", hint="open another connection for it")
        try:
            self._access.check_known(self._token)
            self._access.check(self._token, name)
        except NotAllowed:
            self._metrics.refused(name, grpc.StatusCode.PERMISSION_DENIED.name)
            raise
        call = _Call(self, number, name, granted)
        message = call.parse(request)
        self._gate.check_size(name, message.ByteSize())
        self._calls[number] = call
        # Begun at once: a task that is cancelled before its first step never takes it. So a stop is made although its
        # client is gone the next moment, and a call that is ended the next moment says that it has ended.
        call.task = asyncio.Task(self._run(call, message), loop=asyncio.get_running_loop(), eager_start=True)

    async def _few_stops(self) -> None:
        while len(stops := self._stops()) >= MOST_STOPS:
            await asyncio.wait(stops, return_when=asyncio.FIRST_COMPLETED)

    def _stops(self) -> list[asyncio.Task[None]]:
        return [call.task for call in self._calls.values() if call.task and call.name == "StopAll"]

    async def _run(self, call: _Call, message: Any) -> None:
        CALLER.set(self._token.name)
        # As gRPC does: without tokens all are "local", and each connection is a client.
        who = self._token.name if self._access.tokens else self.peer
        end: dict[str, Any] = {"id": call.number, "done": True}
        try:
            with self._metrics.call(call.name, timed=not call.streams) as counted:
                try:
                    with self._gate.admitted(who, call.name, stream=call.streams):
                        note(self._audit, self._token, self.peer, call.name, message)
                        async with contextlib.aclosing(call.answers(self._service, message)) as answers:
                            async for answer in answers:
                                if call.name in OBSERVING:
                                    self._access.check_known(self._token)
                                counted.sent(await self._answer(call, answer))
                    counted.code = grpc.StatusCode.OK.name
                except GONE:
                    pass  # whoever called has gone, and serve() ends: as by a cancellation
                except (Exception, *QUITS) as error:  # noqa: BLE001 each reaches the client, in words
                    counted.code = status_of(in_words(error)).name
                    end = _error(call.number, error)
        finally:
            try:
                with contextlib.suppress(*GONE, RuntimeError):  # the client went meanwhile
                    await self._send(end)
            finally:  # not before: what a client that does not read has not taken counts as under way
                self._calls.pop(call.number, None)

    async def _answer(self, call: _Call, answer: Any) -> int:
        """Send one; how many bytes."""
        if call.name in BINARY:
            data = answer if isinstance(answer, bytes) else answer.SerializeToString()
            await self._socket.send_bytes(data)
            return len(data)
        return await self._send({"id": call.number, "item": plain(answer)})

    async def _refuse(self, number: Any, error: Exception) -> None:
        await self._send(_error(number, error))

    async def begun(self, number: int, told: dict[str, str]) -> None:
        """Tell that a call has begun, and its initial metadata."""
        await self._send({"id": number, "begun": True, "told": told})

    async def _send(self, what: dict[str, Any]) -> int:
        data = orjson.dumps(what)
        await self._socket.send_text(data.decode())
        return len(data)


class _Call:
    """A call under way; to the service, also its context."""

    def __init__(self, connection: Connection, number: int, name: str, granted: int | None) -> None:
        self._connection, self.number, self.name = connection, number, name
        self._method = METHODS[name]
        if granted is not None and (not self.streams or self._method.client_streaming):
            raise LimitError(f"{name} takes no credits", hint="those do that have many answers to one request")
        self._credits = None if granted is None else Credits(granted)
        self._requests: asyncio.Queue[Any] = asyncio.Queue(MOST_WAITING)
        self.task: asyncio.Task[None] | None = None
        self._ending = False

    @property
    def streams(self) -> bool:
        """Whether it has many answers."""
        return bool(self._method.server_streaming)

    def parse(self, request: Any) -> Any:
        """A request as a message.

        :raises LimitError: it is none.
        """
        message = GetMessageClass(self._method.input_type)()
        try:
            return ParseDict(request, message)
        except (ParseError, TypeError, ValueError, AttributeError) as error:
            raise LimitError(f"{self.name}: {error}", hint=f"give a {self._method.input_type.name}") from error

    def more(self, request: Any) -> None:
        """Take a further request."""
        try:
            self._requests.put_nowait(self.parse(request))
        except asyncio.QueueFull:
            raise LimitError(f"{self.name}: {MOST_WAITING} requests wait", hint="send them more slowly") from None

    def end(self) -> None:
        """End it, once: another time would cut off the answer that says so."""
        if self.task is not None and not self._ending:
            self._ending = True
            self.task.cancel()

    def grant(self, number: int) -> None:
        """Let so many more answers come.

        :raises LimitError: it was begun without credits, or these are too many.
        """
        if self._credits is None:
            raise LimitError(f"{self.name} was begun without credits", hint="give some with the call itself")
        self._credits.grant(number)

    async def answers(self, service: DaqServicer, message: Any) -> AsyncGenerator[Any]:
        """What the service says, each answer asked for when there is a credit for it."""
        behaviour = getattr(service, self.name)
        if not self._method.server_streaming:
            yield await behaviour(message, self)
            return
        answers = behaviour(self._all(message) if self._method.client_streaming else message, self)
        async with contextlib.aclosing(answers):
            while True:
                if self._credits is not None:
                    await self._credits.one()
                try:
                    answer = await anext(answers)
                except StopAsyncIteration:
                    return
                yield answer

    async def _all(self, first: Any) -> AsyncIterator[Any]:
        yield first
        while True:
            yield await self._requests.get()

    def peer(self) -> str:
        """Where the client is."""
        return self._connection.peer

    async def send_initial_metadata(self, metadata: Any) -> None:
        """The call has begun."""
        await self._connection.begun(self.number, dict(metadata))


def plain(message: Any) -> dict[str, Any]:
    """A message as JSON, with all of its fields."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def told(error: BaseException) -> dict[str, Any]:
    """What a client hears of an error; one that nobody meant is told in the log, too."""
    worded = in_words(error)
    if status_of(worded) is grpc.StatusCode.INTERNAL or isinstance(error, QUITS):
        logger.error("a call of the page failed", exc_info=error)
    return plain(error_message(worded))


def _error(number: Any, error: BaseException) -> dict[str, Any]:
    return {"id": number, "error": told(error)}
