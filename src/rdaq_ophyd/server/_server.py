"""The gRPC server: on a thread and an event loop of its own, beside whatever the process does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import Future
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.operations import CallMetrics
from rdaq_ophyd.scripts import ScriptLimits
from rdaq_ophyd.startup import Session
from rdaq_ophyd.wire import SERVICE, add_DaqServicer_to_server

from . import _descriptors as descriptors
from ._access import Access
from ._audit import Audit
from ._guard import QUITS, Guard
from ._limits import RESERVE, Gate, Limits
from ._refusals import Refusals
from ._service import DaqService
from ._settled import settle

logger = logging.getLogger(__name__)
LARGEST_METADATA = 16 << 10
"""Bytes of what comes with a call besides its message: a token, a deadline."""
ALIVE_EVERY, ALIVE_WITHIN = 30_000, 10_000
"""Milliseconds after which a silent client is asked whether it is there, and until it must have said so: a laptop that
was closed must not keep its streams."""
CLIENTS_ASK = 5_000
"""Milliseconds between two questions of a client whether the line still holds; gRPC would cut it off below 5 min."""
HANDSHAKE = 5_000
"""Milliseconds for TLS and HTTP/2's first words: a connection that says nothing makes room for one that has to."""
IDLE = 25_000
"""Milliseconds without a call after which a connection is closed: less than the 30 s that `rdaq stop` tries to get one.
A client of gRPC opens another with its next call, and does not notice."""
GRACE = 2.0
"""Seconds that calls get to end when the server closes."""


class Server:
    """Serves a session until it is closed: ``with Server(session) as server: print(server.address)``.

    :param session: devices, RunEngine, stop.
    :param access: where it listens, and who may come in.
    :param limits: how much it takes.
    :param scripts: how much a script may have.
    :param page: port of the page in the browser, 0 for any that is free; None: there is no page.
    :ivar address: ``host:port`` of gRPC.
    :ivar page: address of the page, empty where there is none.
    :ivar loop: on which calls are served.
    :ivar calls: counts them.
    :raises RdaqError: the port cannot be had, a file of the certificate cannot be read, or this process may not have as
        many file descriptors as connections need.
    """

    def __init__(
        self,
        session: Session,
        access: Access | None = None,
        limits: Limits | None = None,
        scripts: ScriptLimits | None = None,
        *,
        page: int | None = None,
    ) -> None:
        descriptors.ensure((limits or Limits()).connections)
        self._session, self._access, self._gate = session, access or Access(), Gate(limits or Limits())
        self._scripts, self._page_port = scripts, page
        self.address = self.page = ""
        self.service: DaqService | None = None
        self.calls = CallMetrics()
        self.calls.count_clients(self._gate.clients)
        self._refusals = Refusals(self._gate.limits, self.calls.throttled)
        self.loop = self._loop = _new_loop()
        self._health = health.aio.HealthServicer()
        self._stop = asyncio.Event()
        self._audit = Audit(session.settings.data_dir / "session" / "audit.log")
        opened: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="grpc-server", daemon=True)
        self._thread.start()
        try:
            self.address = opened.result(30)
        except BaseException:
            self.close()
            raise

    def _run(self, opened: Future[str]) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            _run_through(self._loop, self._serve(opened))
        except BaseException as error:
            if opened.done():
                logger.exception("the server ended")
            else:
                opened.set_exception(error)
        finally:
            self._loop.close()

    async def _serve(self, opened: Future[str]) -> None:
        access = self._access
        guard = Guard(access, self._audit, self._gate, self.calls, self._refusals)
        server = grpc.aio.server(
            interceptors=[guard],
            options=_options(self._gate.limits),
        )
        service = self.service = DaqService(self._session, self._loop, self._scripts)
        try:
            add_DaqServicer_to_server(service, server)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
            reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
            address = _bound(server, access)
            await server.start()
            try:
                await self._set_serving(True)
                async with self._with_page(service):
                    opened.set_result(address)
                    await self._stop.wait()
                await self._health.enter_graceful_shutdown()
            finally:
                guard.ends()
                await server.stop(GRACE)  # in which a stop is confirmed
                await guard.close()
                await service.ended()
                await _ended()
        finally:
            service.close()

    @contextlib.asynccontextmanager
    async def _with_page(self, service: DaqService) -> AsyncIterator[None]:
        """Serve the page too, where there is to be one."""
        if self._page_port is None:
            yield
            return
        from ._web import Page  # a web server: only where it is wanted

        page = Page(
            self._session,
            service,
            self._access,
            self._audit,
            self._gate,
            self.calls,
            self._refusals,
            self._page_port,
        )
        try:
            await page.start()
            self.page = page.address
            yield
        finally:
            await page.close()

    @property
    def moving(self) -> list[str]:
        """What clients move or set by hand now: no plan is to begin meanwhile."""
        return self.service.moving if self.service is not None else []

    async def _set_serving(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)

    def tell_health(self, serving: bool) -> None:
        """Let gRPC's health service say so from now on; from any thread, waits for nothing."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the service
            asyncio.run_coroutine_threadsafe(self._set_serving(serving), self._loop)

    def close(self) -> None:
        """End it, bounded; a plan under way goes on. Idempotent."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(GRACE + 10)
        self._audit.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def serve(
    session: Session,
    access: Access | None = None,
    limits: Limits | None = None,
    scripts: ScriptLimits | None = None,
    *,
    page: int | None = None,
) -> Server:
    """Serve a session until it ends, beside a person at its prompt or a script.

    What the process has by now is thrown away if it is garbage, and else not looked at by the garbage collector until
    the session ends (``gc.freeze``): to look through it would hold up every stream.

    :param access: where, and for whom; any free port of this machine alone unless given.
    :param limits: how much it takes.
    :param scripts: how much a script may have.
    :param page: port of the page in the browser, 0 for any that is free; None: there is no page.
    :raises RdaqError: as :class:`Server` does.
    """
    session.at_close(gc.unfreeze)
    settle(page=page is not None)
    server = Server(session, access, limits, scripts, page=page)
    session.at_close(server.close)
    return server


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, which takes a third less for each message of a stream; there is none for Windows."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def _ended() -> None:
    """Wait until the tasks of all calls have ended, too.

    gRPC's own ``stop`` does not. What is told to a task when its loop is closed never arrives, and keeps for good the
    task, with it the server, and gRPC's thread with its sockets.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=GRACE)


def _run_through(loop: asyncio.AbstractEventLoop, what: Coroutine[Any, Any, None]) -> None:
    """Run to its end, whatever some task beside it raises: ``SystemExit`` in any of them ends a loop."""
    task = loop.create_task(what)
    while True:
        try:
            loop.run_until_complete(task)
            return
        except QUITS:
            if task.done():
                raise
            logger.exception("something wanted to end the server, which goes on")


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.absolute_max_metadata_size", LARGEST_METADATA),
        # Of what we receive. Requests are small; with the window that gRPC finds by itself, those that are too large
        # lie in memory before their size is looked at. What we send goes by the client's window.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE),
        ("grpc.max_connection_idle_ms", IDLE),
        # Of one connection. What comes beyond waits at the client's end, and is no work here.
        ("grpc.max_concurrent_streams", min(limits.calls, limits.client_calls) + RESERVE),
        ("grpc.keepalive_time_ms", ALIVE_EVERY),
        ("grpc.keepalive_timeout_ms", ALIVE_WITHIN),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", CLIENTS_ASK),
    ]


def _bound(server: grpc.aio.Server, access: Access) -> str:
    host = f"[{access.host}]" if ":" in access.host else access.host
    wanted, credentials = f"{host}:{access.port}", access.credentials()
    try:
        port = server.add_secure_port(wanted, credentials) if credentials else server.add_insecure_port(wanted)
    except RuntimeError as error:
        raise RdaqError(f"{wanted} cannot be listened on: {error}", hint="is it taken? give another port") from error
    return f"{host}:{port}"
