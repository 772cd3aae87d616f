"""Tiled's own pages, read through the door of ours: its key never leaves this process, and one tunnel serves both.

Only reading: nothing but GET and HEAD is passed on, whoever asks. What Tiled answers beside its pages is data that
anybody may have recorded, so that none of it can act as a page of this site.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import httpx
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from rdaq_ophyd.catalog import climbs
from rdaq_ophyd.errors import CatalogError, NotAllowed, RdaqError
from rdaq_ophyd.operations import CallMetrics, CountedCall
from rdaq_ophyd.startup import Session

from ._guard import status_of
from ._limits import Gate
from ._web_door import Door

PATHS = ("/ui", "/ui/{path:path}", "/tiled-ui-settings", "/api/v1/{path:path}")
"""What Tiled serves and its pages ask for."""
NAME = "Catalog"
"""Of such a request in limits and metrics."""
ASKED = ("accept", "accept-encoding", "if-none-match", "range")
ANSWERED = ("content-type", "content-encoding", "content-length", "content-disposition", "content-range", "etag")
PATIENCE = httpx.Timeout(60.0, connect=5.0)
"""Seconds; Tiled reads whole arrays before it answers."""
#: Tiled's pages make styles as they run (its library of widgets does), and nothing else that ours do not.
PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; manifest-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
type Stranger = Callable[[HTTPConnection, NotAllowed], Awaitable[Response]]
DATA = "sandbox; default-src 'none'; frame-ancestors 'none'"


class CatalogDoor:
    """Passes on what is asked of Tiled.

    :param session: whose catalog it is.
    :param door: says who asks.
    :param gate: how much is let in; each request counts as a stream, for as long as its answer lasts.
    :param metrics: counts the requests as calls of ``Catalog``.
    :param stranger: what somebody gets who shows no known token.
    """

    def __init__(self, session: Session, door: Door, gate: Gate, metrics: CallMetrics, stranger: Stranger) -> None:
        self._session, self._door, self._gate, self._metrics = session, door, gate, metrics
        self._stranger = stranger
        self._client = httpx.AsyncClient(timeout=PATIENCE, follow_redirects=False, trust_env=False)

    async def serves(self) -> bool:
        """Whether there is something to look at now."""
        return await asyncio.to_thread(self._serving)

    async def close(self) -> None:
        """End what is under way."""
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: with what Tiled says, or why it says nothing."""
        request = Request(scope)
        if climbs(scope["path"]) or climbs(request.url.path):
            await Response(status_code=404)(scope, receive, send)  # would lead out of what is passed on
            return
        try:
            token = self._door.who(request)
        except NotAllowed as error:
            self._metrics.refused(NAME, grpc.StatusCode.UNAUTHENTICATED.name)
            answer = await self._stranger(request, error)
            if request.url.path.startswith("/ui") and answer.status_code == 401:
                answer = RedirectResponse("/")  # where the token is asked for
            await answer(scope, receive, send)
            return
        with self._metrics.call(NAME, timed=False) as counted:
            try:
                with self._gate.admitted(self._door.client(request, token), NAME, stream=True):
                    async with self._asked(request) as told:
                        body = _counted(told.aiter_raw(), counted)
                        headers = _headers(told, request.url.path)
                        await StreamingResponse(body, told.status_code, headers)(scope, receive, send)
                        counted.code = grpc.StatusCode.OK.name
            except RdaqError as error:
                counted.code = status_of(error).name
                await JSONResponse({"what": str(error)}, status_code=503)(scope, receive, send)

    @asynccontextmanager
    async def _asked(self, request: Request) -> AsyncIterator[httpx.Response]:
        uri, key = await asyncio.to_thread(self._address)
        headers = {name: request.headers[name] for name in ASKED if name in request.headers}
        headers |= {"Authorization": f"Apikey {key}", "X-Forwarded-Proto": self._door.scheme}
        headers |= {"X-Forwarded-Host": request.headers["host"]}  # so that Tiled's links lead here again
        where = httpx.URL(uri).copy_with(raw_path=request.scope["raw_path"] + b"?" + request.scope["query_string"])
        asked = self._client.build_request(request.method, where, headers=headers)
        try:
            told = await self._client.send(asked, stream=True)
        except httpx.HTTPError as error:
            raise CatalogError(f"Tiled does not answer: {error!r}", hint="look again in a moment") from error
        try:
            yield told
        finally:
            await told.aclose()

    def _serving(self) -> bool:
        catalog = getattr(self._session, "catalog", None)  # a session that keeps nothing has none
        return catalog is not None and catalog.serving

    def _address(self) -> tuple[str, str]:
        catalog = self._session.catalog
        if not self._serving():
            raise CatalogError("Tiled is not up", hint="runs are recorded all the same; look again in a moment")
        return catalog.uri, str(catalog.api_key)


async def _counted(parts: AsyncIterator[bytes], counted: CountedCall) -> AsyncIterator[bytes]:
    async for part in parts:
        counted.sent(len(part))
        yield part


def _headers(told: httpx.Response, path: str) -> dict[str, str]:
    found = {name: told.headers[name] for name in ANSWERED if name in told.headers}
    return found | {"Content-Security-Policy": PAGES if path.startswith("/ui") else DATA}
