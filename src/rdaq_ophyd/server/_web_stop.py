"""STOP by a plain POST: the second way of a page whose WebSocket hangs or is missing; it takes no place of theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import orjson
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response, StreamingResponse

from rdaq_ophyd.errors import NotAllowed
from rdaq_ophyd.operations import CallMetrics
from rdaq_ophyd.wire import DaqServicer, messages

from ._access import Access, Token
from ._arrived import Sender
from ._audit import Audit
from ._guard import CALLER, QUITS, in_words, note, status_of
from ._limits import Gate
from ._web_calls import plain, told
from ._web_door import Door

CALL = "StopAll"
LARGEST_REASON = 4096
"""Bytes; of a longer one the rest is left out, and everything is stopped all the same."""
PATIENCE = 2.0
"""Seconds for the reason to come; then everything is stopped without one."""
type Stranger = Callable[[HTTPConnection, NotAllowed], Awaitable[Response]]


class StopDoor:
    """Stops everything for whoever may look.

    The head of the answer says that the halts are written. Its body comes when it is known what each device did: the
    report as on the WebSocket, or ``{"error": {…}}``.

    :param door: says who asks.
    :param stranger: what somebody gets who shows no known token.
    """

    def __init__(
        self,
        service: DaqServicer,
        access: Access,
        audit: Audit,
        gate: Gate,
        metrics: CallMetrics,
        door: Door,
        stranger: Stranger,
    ) -> None:
        self._service, self._access, self._audit, self._gate, self._metrics = service, access, audit, gate, metrics
        self._door, self._stranger = door, stranger
        self._under_way: set[asyncio.Task[bytes]] = set()

    async def answer(self, request: Request) -> Response:
        """Answer one POST, whose body is the reason."""
        try:
            token = self._door.who(request)
        except NotAllowed as error:
            self._metrics.refused(CALL, grpc.StatusCode.UNAUTHENTICATED.name)
            return await self._stranger(request, error)
        message = messages.StopAllRequest(reason=await _reason(request))
        task = asyncio.get_running_loop().create_task(self._stop(request, token, message))
        self._under_way.add(task)  # whoever asked may go: it is confirmed all the same
        task.add_done_callback(self._under_way.discard)
        await asyncio.sleep(0)  # its first step writes the halts
        return StreamingResponse(_body(task), media_type="application/json", headers={"Cache-Control": "no-store"})

    async def _stop(self, request: Request, token: Token, message: messages.StopAllRequest) -> bytes:
        CALLER.set(token.name)
        client = request.client
        peer = f"page:{client.host}:{client.port}" if client else "page"
        with self._metrics.call(CALL, timed=True) as counted:
            try:
                with self._gate.admitted(token.name if self._access.tokens else peer, CALL, stream=False):
                    note(self._audit, token, peer, CALL, message)
                    answer: dict[str, Any] = plain(await self._service.StopAll(message, Sender(peer)))
                counted.code = grpc.StatusCode.OK.name
            except (Exception, *QUITS) as error:  # noqa: BLE001 each reaches the client, in words
                counted.code = status_of(in_words(error)).name
                answer = {"error": told(error)}
            data = orjson.dumps(answer)
            counted.sent(len(data))
        return data

    async def close(self) -> None:
        """Wait for none of them any more."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)


async def _body(task: asyncio.Task[bytes]) -> AsyncIterator[bytes]:
    yield await asyncio.shield(task)


async def _reason(request: Request) -> str:
    """As much as comes of it: whoever stops everything need not say why."""
    shown = bytearray()
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(PATIENCE):
            async for part in request.stream():
                shown += part
                if len(shown) > LARGEST_REASON:
                    break
    return bytes(shown[:LARGEST_REASON]).decode("utf-8", "replace")
