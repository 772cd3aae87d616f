"""The calls of ``daq.proto`` over a WebSocket: the same service, with its messages as JSON.

The client says ``{"id": 1, "call": "Move", "request": {…}}``, ``{"id": 1, "more": {…}}`` for a further request of the
same call, ``{"id": 1, "end": true}`` to end it, and ``{"ping": 7}``. The server answers ``{"id": 1, "begun": true}``
where a call tells that it has, ``{"id": 1, "item": {…}}`` for each answer, then ``{"id": 1, "done": true}`` or
``{"id": 1, "error": {"kind", "what", "hint"}}``.

Frames and blocks of samples are binary, as gRPC carries them. They bear no number: a connection has one such call at a
time, and whoever wants several of them opens several connections. So a stop, on a connection of its own, never waits
behind a frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message_factory import GetMessageClass
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from rdaq_ophyd.errors import LimitError, UnknownName
from rdaq_ophyd.wire import DaqServicer, error_message, messages

from ._access import Access, Token
from ._audit import Audit
from ._guard import BY_HAND, CALLER, QUITS, in_words, note
from ._limits import Gate

logger = logging.getLogger(__name__)
METHODS = messages.DESCRIPTOR.services_by_name["Daq"].methods_by_name
BINARY = BY_HAND
"""Calls whose answers are binary."""
GONE = (WebSocketDisconnect, WebSocketDisconnected)
"""When the client has gone: heard by who reads, and by who writes or reads on."""
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
    :param socket: accepted.
    :param token: whose it is.
    """

    def __init__(
        self, service: DaqServicer, access: Access, audit: Audit, gate: Gate, socket: WebSocket, token: Token
    ) -> None:
        self._service, self._access, self._audit, self._gate = service, access, audit, gate
        self._socket, self._token = socket, token
        client = socket.client
        self.peer = f"page:{client.host}:{client.port}" if client else "page"
        self._calls: dict[int, _Call] = {}

    async def serve(self) -> None:
        """Until the client goes."""
        try:
            while True:
                await self._take(await self._socket.receive_text())
                await self._few_stops()
        except (*GONE, KeyError):  # starlette's KeyError: a binary message, which no client of ours sends
            pass
        finally:
            tasks = [call.task for call in self._calls.values() if call.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(*GONE, RuntimeError):  # it is closed
                await self._socket.close(1003)

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
        except Exception as error:  # noqa: BLE001 each reaches the client, in words
            await self._refuse(number, error)

    def _do(self, number: int, said: dict[str, Any]) -> None:
        call = self._calls.get(number)
        if "call" in said:
            if call is not None:
                raise LimitError(f"there is a call {number} already", hint="give each its own number")
            self._begin(number, str(said["call"]), said.get("request", {}))
        elif call is not None and "more" in said:  # one that has ended meanwhile needs no more
            call.more(said["more"])
        elif call is not None and said.get("end") and call.task is not None:
            call.task.cancel()

    def _begin(self, number: int, name: str, request: Any) -> None:
        if name not in METHODS:
            raise UnknownName.among("call", name, METHODS)
        if len(self._calls) >= MOST_CALLS and name != "StopAll":
            raise LimitError(f"{len(self._calls)} calls at a time", hint="end some, or wait for their ends")
        if name in BINARY and any(call.name in BINARY for call in self._calls.values()):
            raise LimitError(f"{name} beside another call with binary answers", hint="open another connection for it")
        self._access.check(self._token, name)
        call = _Call(self, number, name)
        message = call.parse(request)
        self._gate.check_size(name, message.ByteSize())
        self._calls[number] = call
        call.task = asyncio.get_running_loop().create_task(self._run(call, message))

    async def _few_stops(self) -> None:
        while len(stops := self._stops()) >= MOST_STOPS:
            await asyncio.wait(stops, return_when=asyncio.FIRST_COMPLETED)

    def _stops(self) -> list[asyncio.Task[None]]:
        return [call.task for call in self._calls.values() if call.task and call.name == "StopAll"]

    async def _run(self, call: _Call, message: Any) -> None:
        CALLER.set(self._token.name)
        # As gRPC does: without tokens all are "local", and each connection is a client.
        who = self._token.name if self._access.tokens else self.peer
        try:
            with self._gate.admitted(who, call.name, stream=call.streams):
                note(self._audit, self._token, self.peer, call.name, message)
                async for answer in call.answers(self._service, message):
                    await self._answer(call, answer)
            end: dict[str, Any] = {"id": call.number, "done": True}
        except (*GONE, asyncio.CancelledError):
            end = {"id": call.number, "done": True}
            raise
        except (Exception, *QUITS) as error:  # noqa: BLE001 each reaches the client, in words
            end = _error(call.number, error)
        finally:
            try:
                with contextlib.suppress(*GONE, RuntimeError):  # the client went meanwhile
                    await self._send(end)
            finally:  # not before: what a client that does not read has not taken counts as under way
                self._calls.pop(call.number, None)

    async def _answer(self, call: _Call, answer: Any) -> None:
        if call.name in BINARY:
            await self._socket.send_bytes(answer if isinstance(answer, bytes) else answer.SerializeToString())
        else:
            await self._send({"id": call.number, "item": _plain(answer)})

    async def _refuse(self, number: Any, error: Exception) -> None:
        await self._send(_error(number, error))

    async def begun(self, number: int) -> None:
        """Tell that a call has begun."""
        await self._send({"id": number, "begun": True})

    async def _send(self, what: dict[str, Any]) -> None:
        await self._socket.send_text(orjson.dumps(what).decode())


class _Call:
    """A call under way; to the service, also its context."""

    def __init__(self, connection: Connection, number: int, name: str) -> None:
        self._connection, self.number, self.name = connection, number, name
        self._method = METHODS[name]
        self._requests: asyncio.Queue[Any] = asyncio.Queue(MOST_WAITING)
        self.task: asyncio.Task[None] | None = None

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

    async def answers(self, service: DaqServicer, message: Any) -> AsyncIterator[Any]:
        """What the service says."""
        behaviour = getattr(service, self.name)
        if not self._method.server_streaming:
            yield await behaviour(message, self)
            return
        answers = behaviour(self._all(message) if self._method.client_streaming else message, self)
        async with contextlib.aclosing(answers):
            async for answer in answers:
                yield answer

    async def _all(self, first: Any) -> AsyncIterator[Any]:
        yield first
        while True:
            yield await self._requests.get()

    def peer(self) -> str:
        """Where the client is."""
        return self._connection.peer

    async def send_initial_metadata(self, _metadata: Any) -> None:
        """The call has begun."""
        await self._connection.begun(self.number)


def _plain(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _error(number: Any, error: BaseException) -> dict[str, Any]:
    told = in_words(error)
    if not hasattr(told, "hint") or isinstance(error, QUITS):
        logger.error("a call of the page failed", exc_info=error)
    return {"id": number, "error": _plain(error_message(told))}
