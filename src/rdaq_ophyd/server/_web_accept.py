"""Who is connected to the page: so many at a time, and the newest always; those that say nothing are not waited for."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import uvicorn

from ._descriptors import PAGE

logger = logging.getLogger(__name__)
MOST = PAGE
"""Connections at a time. One more ends the oldest that carries no WebSocket; those are few, and were let in."""
SILENT = 10.0
"""Seconds for TLS, and as many for the first request."""
AGAIN = 0.5
"""Seconds after which accepting is tried again where it failed."""


class Acceptor:
    """Takes the connections of a socket for a web server, which would take any number, and wait for each for ever.

    :param listening: where they come.
    :param server: has started, without sockets of its own.
    """

    def __init__(self, listening: socket.socket, server: uvicorn.Server) -> None:
        self._listening, self._server = listening, server
        self._shaking: dict[asyncio.Task[None], None] = {}
        self._connected: dict[Any, None] = {}
        self._task = asyncio.create_task(self._accept())

    async def close(self) -> None:
        """Take no more; what is connected is the server's."""
        tasks = [self._task, *self._shaking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                made, _ = await loop.sock_accept(self._listening)
            except OSError as error:  # no descriptor left, or the client has gone
                logger.warning("a connection to the page was not taken: %s", error.strerror)
                await asyncio.sleep(AGAIN)
                continue
            if not self._make_room():
                made.close()
                continue
            task = loop.create_task(self._connect(made))
            self._shaking[task] = None
            task.add_done_callback(lambda task: self._shaking.pop(task, None))

    def _make_room(self) -> bool:
        """Whether there is room for one more, if need be that of another, which leaves in a moment."""
        connected = self._server.server_state.connections
        self._connected = {each: None for each in self._connected if each in connected}
        if len(connected) + len(self._shaking) < MOST:
            return True
        if self._shaking:
            next(iter(self._shaking)).cancel()
        elif self._connected:
            next(iter(self._connected)).transport.abort()
        return bool(self._shaking or self._connected)

    async def _connect(self, made: socket.socket) -> None:
        loop, config = asyncio.get_running_loop(), self._server.config
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit = {"ssl_handshake_timeout": SILENT} if config.ssl else {}
        try:
            _, protocol = await loop.connect_accepted_socket(self._protocol, made, ssl=config.ssl, **limit)
        except OSError as error:  # no TLS, or not in time: the client's affair
            logger.debug("no connection to the page: %s", error)
        except BaseException:
            made.close()
            raise
        else:
            self._connected[protocol] = None
            loop.call_later(SILENT, self._end_silent, protocol)

    def _protocol(self) -> Any:
        server = self._server
        made: Any = server.config.http_protocol_class
        return made(config=server.config, server_state=server.server_state, app_state=server.lifespan.state)

    def _end_silent(self, protocol: Any) -> None:
        """One that has become a WebSocket is none of the server's connections any more: another protocol has it."""
        if protocol.cycle is None and protocol in self._server.server_state.connections:
            protocol.transport.abort()
