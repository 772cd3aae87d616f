"""The page in the browser, and the WebSocket that it uses; beside gRPC, on the same loop, with the same service."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from rdaq_ophyd.errors import LimitError, NotAllowed, RdaqError
from rdaq_ophyd.operations import CallMetrics
from rdaq_ophyd.startup import Session
from rdaq_ophyd.stop import state_dir
from rdaq_ophyd.wire import DaqServicer

from ._access import LOOPBACK, Access
from ._audit import Audit
from ._limits import Gate
from ._page_key import page_key
from ._refusals import HOLD, Refusals
from ._web_accept import Acceptor
from ._web_calls import GONE, Connection
from ._web_catalog import PATHS, CatalogDoor
from ._web_door import REMEMBERED, Door
from ._web_places import Places
from ._web_stop import StopDoor

FILES = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
#: Nothing of other sites is loaded or asked, none of them may frame the page, and no text becomes code.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
LARGEST_MESSAGE = 1 << 20
"""Bytes that a page may send at once."""
LARGEST_LOGIN = 4096
AGAIN_LATER = 1013
"""What a WebSocket is told that makes room for another (RFC 6455's registry: try again later)."""
ALIVE = 20.0
"""Seconds between two signs of life that a browser must give, and in which it must give them."""
CLOSING = 2


class Page:
    """Serves the page until it is closed.

    :param session: whose catalog is shown.
    :param service: whose calls the page makes.
    :param access: where, and for whom.
    :param audit: who did what.
    :param gate: how much is let in, by gRPC and by the page together.
    :param metrics: counts the calls of both.
    :param refusals: slows down who shows no known token, here and there.
    :param port: 0 for any that is free.
    :raises RdaqError: the port cannot be had, or a file of the certificate cannot be read.
    """

    def __init__(
        self,
        session: Session,
        service: DaqServicer,
        access: Access,
        audit: Audit,
        gate: Gate,
        metrics: CallMetrics,
        refusals: Refusals,
        port: int,
    ) -> None:
        self._access, self._refusals = access, refusals
        self._serving = (service, access, audit, gate, metrics)
        self._socket = _listening(access.host, port)
        key = page_key(state_dir()) if access.tokens else None
        self._door = Door(access, self._socket.getsockname()[1], key)
        self._catalog = CatalogDoor(session, self._door, gate, metrics, self._stranger)
        self._stop = StopDoor(*self._serving, self._door, self._stranger)
        self._places = Places()
        self._ending: set[asyncio.Task[None]] = set()
        self._files = {path.name: path.read_bytes() for path in FILES.iterdir() if path.suffix in TYPES}
        routes = [
            Route("/", self._file),
            Route("/whoami", self._whoami),
            Route("/login", self._login, methods=["POST"]),
            Route("/stop", self._stop.answer, methods=["POST"]),
            WebSocketRoute("/ws", self._websocket),
            *(Route(path, self._catalog, methods=["GET"]) for path in PATHS),
            Route("/{name}", self._file),
        ]
        self._app = Starlette(routes=routes)
        self._server = uvicorn.Server(self._config())
        self._task: asyncio.Task[None] | None = None
        self._acceptor: Acceptor | None = None

    @property
    def address(self) -> str:
        """Of the page: ``http://127.0.0.1:50052/``."""
        host = f"[{self._access.host}]" if ":" in self._access.host else self._access.host
        return f"{self._door.scheme}://{host}:{self._socket.getsockname()[1]}/"

    def _config(self) -> uvicorn.Config:
        access = self._access
        access.credentials()  # says which file cannot be read
        return uvicorn.Config(
            self._guarded,
            interface="asgi3",
            lifespan="off",
            # Who it was, for the audit log; nobody is believed unless a proxy stands before it, on this machine.
            proxy_headers=bool(access.public),
            forwarded_allow_ips=LOOPBACK,
            ws="websockets-sansio",
            ws_max_size=LARGEST_MESSAGE,
            ws_ping_interval=ALIVE,
            ws_ping_timeout=ALIVE,
            ws_per_message_deflate=False,  # frames do not shrink, and cost the time of all
            ssl_certfile=access.certificate and str(access.certificate),
            ssl_keyfile=access.key and str(access.key),
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=CLOSING,
        )

    async def start(self) -> None:
        """Begin; returns when it serves.

        :raises RdaqError: it does not.
        """
        self._task = asyncio.create_task(self._server.serve([]))
        while not self._server.started:
            if self._task.done():
                raise RdaqError(f"the page on {self.address} does not start", hint="is the certificate a good one?")
            await asyncio.sleep(0.005)
        self._acceptor = Acceptor(self._socket, self._server)

    async def close(self) -> None:
        """End it, and all connections; bounded."""
        if self._acceptor is not None:
            await self._acceptor.close()
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSING + 3)
            self._task.cancel()
        await self._stop.close()
        await self._catalog.close()
        self._socket.close()

    # -- what every request passes ---------------------------------------------------------------------------

    async def _guarded(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                given = message.get("headers", ())
                own = {name for name, _ in given}
                message["headers"] = [*given, *(each for each in _HEADERS if each[0] not in own)]
            await send(message)

        try:
            self._door.check_site(HTTPConnection(scope))
        except (NotAllowed, ValueError) as error:  # urlsplit's: a Host that is none
            await _refusal(403, error)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    async def _file(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        content = self._files.get(name)
        if content is None:
            return Response(status_code=404)
        return Response(content, media_type=TYPES[Path(name).suffix])

    async def _whoami(self, request: Request) -> Response:
        try:
            token = self._door.who(request)
        except NotAllowed as error:
            return await self._stranger(request, error)
        return JSONResponse({"name": token.name, "role": token.role, "catalog": await self._catalog.serves()})

    async def _login(self, request: Request) -> Response:
        shown = bytearray()
        async for part in request.stream():
            shown += part
            if len(shown) > LARGEST_LOGIN:
                return Response(status_code=413)
        try:
            value = self._door.let_in(shown.decode("utf-8", "replace").strip())
        except NotAllowed as error:
            return await self._stranger(request, error)
        response = Response(status_code=204)
        secure = self._door.scheme == "https" or self._door.is_by_proxy(request)
        response.set_cookie(
            self._door.cookie, value, max_age=int(REMEMBERED), httponly=True, samesite="strict", secure=secure
        )
        return response

    async def _stranger(self, connection: HTTPConnection, error: NotAllowed) -> Response:
        """What somebody gets who shows no known token."""
        peer = connection.client.host if connection.client else ""
        if await self._refusals.spare(peer, "page"):
            return _refusal(401, error)
        return Response(status_code=429, headers={"Retry-After": str(math.ceil(HOLD))})

    async def _websocket(self, websocket: WebSocket) -> None:
        try:
            token = self._door.who(websocket)
        except NotAllowed as error:
            await websocket.send_denial_response(await self._stranger(websocket, error))
            return
        made = Connection(*self._serving, websocket, token)
        who = self._door.client(websocket, token)
        with self._places.one(who, lambda: made.is_idle, lambda: self._end(websocket)) as has_place:
            if not has_place:
                await websocket.send_denial_response(Response(status_code=503))
                return
            await websocket.accept()
            await made.serve()

    def _end(self, websocket: WebSocket) -> None:
        """Tell a WebSocket to go, without waiting for it."""
        task = asyncio.get_running_loop().create_task(_leave(websocket))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _leave(websocket: WebSocket) -> None:
    with contextlib.suppress(*GONE, RuntimeError):  # it has gone already, or was not accepted yet
        await websocket.close(AGAIN_LATER)


_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


def _refusal(status: int, error: Exception) -> Response:
    return JSONResponse({"what": str(error)}, status_code=status)


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:  # getaddrinfo would take the rest of a division
        raise LimitError(f"port {port} of the page", hint="give 1 to 65535, or 0 for any that is free")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise RdaqError(f"{host}:{port}: no address to listen on: {error}", hint="give one of this machine") from error
    try:
        if sys.platform != "win32":  # there it would let another program take the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(64)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise RdaqError(
            f"{host}:{port} cannot be listened on: {error.strerror}",
            hint="is it taken? give another one with --page-port, or none with --no-page",
        ) from error
    return made
