"""``/metrics``, ``/healthz`` and ``/readyz`` over HTTP, in threads of their own: answered while event loops hang."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from rdaq_ophyd.errors import NotAllowed, RdaqError

from ._health import Check, Health

logger = logging.getLogger(__name__)
PATIENCE = 5.0
"""Seconds that a caller may be silent."""
CALLERS = 16
"""Connections at a time; one more ends the oldest."""

Answer = tuple[int, str, bytes]


class Endpoint:
    """Serves them until it is closed.

    :param registry: what ``/metrics`` tells.
    :param health: what the others tell.
    :param host: address that it listens on; ``port``: 0 for any that is free.
    :param allow: is given the headers of each request, in lower case; raises ``NotAllowed`` for whom it does not know.
    :param tls: for HTTPS; None for plain HTTP.
    :ivar url: where it is.
    :raises RdaqError: the port cannot be had.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        health: Health,
        *,
        host: str,
        port: int,
        allow: Callable[[dict[str, str]], object],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._registry, self._health = registry, health
        try:
            self._server = _Server(host, port, self.answer, allow, tls)
        except OSError as error:
            raise RdaqError(
                f"{host}:{port} cannot be listened on for metrics: {error.strerror or error}",
                hint="is it taken? give another --metrics-port, or 0 for any that is free",
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{shown}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="rdaq-http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more. Idempotent."""
        self._server.shutdown()
        self._server.server_close()
        self._server.end_all()
        self._thread.join(10)

    def answer(self, path: str, accept: str) -> Answer:
        """Status, type and body for a path."""
        match path:
            case "/metrics":
                encoder, kind = choose_encoder(accept)
                return 200, kind, encoder(self._registry)
            case "/healthz":
                return _told(self._health.live())
            case "/readyz":
                return _told(self._health.ready())
        return 404, "text/plain; charset=utf-8", b"/metrics, /healthz, /readyz\n"


def _told(checks: Iterable[Check]) -> Answer:
    found = list(checks)
    well = all(check.well for check in found)
    body = {
        "status": "ok" if well else "unavailable",
        "checks": {check.name: {"ok": check.well, "detail": check.detail} for check in found},
    }
    return 200 if well else 503, "application/json", orjson.dumps(body) + b"\n"


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads, block_on_close = True, False
    allow_reuse_address, request_queue_size = True, 64

    def __init__(
        self,
        host: str,
        port: int,
        answer: Callable[[str, str], Answer],
        allow: Callable[[dict[str, str]], object],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.answer, self.allow, self._tls = answer, allow, tls
        self._callers: dict[socket.socket, None] = {}
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind; without the look for this machine's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve it in a thread; callers that say nothing must not keep out those who do."""
        while len(self._callers) >= CALLERS:
            self._end(next(iter(self._callers)))
        self._callers[request] = None
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In its thread: also the handshake, which a caller may draw out."""
        request.settimeout(PATIENCE)
        try:
            if self._tls is None:
                super().finish_request(request, client_address)
                return
            with self._tls.wrap_socket(request.dup(), server_side=True) as secured:
                super().finish_request(secured, client_address)
        except OSError as error:  # no handshake, no request, gone: the caller's affair
            logger.debug("%s: %s", client_address, error)

    def shutdown_request(self, request: Any) -> None:
        """It is over."""
        self._callers.pop(request, None)
        super().shutdown_request(request)

    def end_all(self) -> None:
        """End all connections."""
        for caller in list(self._callers):
            self._end(caller)

    def _end(self, caller: socket.socket) -> None:
        self._callers.pop(caller, None)
        with contextlib.suppress(OSError):  # it has just gone by itself
            caller.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  socketserver's signature
        """An error of ours: logged, and the next request is served."""
        logger.exception("%s", client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "rdaq", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        try:
            self.server.allow({name.lower(): value for name, value in self.headers.items()})
        except NotAllowed as error:
            self._send((401, "text/plain; charset=utf-8", f"{error}\n".encode()))
            return
        self._send(self.server.answer(urlsplit(self.path).path, self.headers.get("Accept", "")))

    do_HEAD = do_GET  # noqa: N815  http.server's name

    def _send(self, answer: Answer) -> None:
        status, kind, body = answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        logger.debug(format, *args)
