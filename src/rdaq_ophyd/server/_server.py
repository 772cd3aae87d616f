"""The gRPC server: on a thread and an event loop of its own, beside whatever the process does."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.startup import Session
from rdaq_ophyd.wire import SERVICE, add_DaqServicer_to_server

from ._access import Access
from ._audit import Audit
from ._guard import Guard
from ._service import DaqService

logger = logging.getLogger(__name__)
LARGEST_REQUEST = 4 << 20
"""Bytes of a request."""
MOST_CALLS = 200
"""Calls at a time; a client has a handful."""
CLIENTS_ASK = 5_000
"""Milliseconds between two questions of a client whether the line still holds; gRPC would cut it off below 5 min."""
GRACE = 2.0
"""Seconds that calls get to end when the server closes."""


class Server:
    """Serves a session until it is closed: ``with Server(session) as server: print(server.address)``.

    :param session: devices, RunEngine, stop.
    :param access: where it listens, and who may come in.
    :raises RdaqError: the port cannot be had, or a file of the certificate cannot be read.
    """

    def __init__(self, session: Session, access: Access | None = None) -> None:
        self._session, self._access = session, access or Access()
        self.address = ""
        self.service: DaqService | None = None
        self._loop = asyncio.new_event_loop()
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
            self._loop.run_until_complete(self._serve(opened))
        except Exception as error:
            if opened.done():
                logger.exception("the server ended")
            else:
                opened.set_exception(error)
        finally:
            self._loop.close()

    async def _serve(self, opened: Future[str]) -> None:
        access = self._access
        server = grpc.aio.server(
            interceptors=[Guard(access, self._audit)],
            maximum_concurrent_rpcs=MOST_CALLS,
            options=[
                ("grpc.max_receive_message_length", LARGEST_REQUEST),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", CLIENTS_ASK),
            ],
        )
        service = self.service = DaqService(self._session, self._loop)
        try:
            add_DaqServicer_to_server(service, server)
            healthy = health.aio.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
            reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
            address = _bound(server, access)
            await server.start()
            for name in ("", SERVICE):
                await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
            opened.set_result(address)
            await self._stop.wait()
            await healthy.enter_graceful_shutdown()
            await server.stop(GRACE)
        finally:
            service.close()

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


def serve(session: Session, access: Access | None = None) -> Server:
    """Serve a session until it ends, beside a person at its prompt or a script.

    :param access: where, and for whom; any free port of this machine alone unless given.
    :raises RdaqError: as :class:`Server` does.
    """
    server = Server(session, access)
    session.at_close(server.close)
    return server


def _bound(server: grpc.aio.Server, access: Access) -> str:
    host = f"[{access.host}]" if ":" in access.host else access.host
    wanted, credentials = f"{host}:{access.port}", access.credentials()
    try:
        port = server.add_secure_port(wanted, credentials) if credentials else server.add_insecure_port(wanted)
    except RuntimeError as error:
        raise RdaqError(f"{wanted} cannot be listened on: {error}", hint="is it taken? give another port") from error
    return f"{host}:{port}"
