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


class _Guest:
    """One who came: at first with a task that lets it in, then with the protocol that serves it."""

    def __init__(self, connections: set[Any]) -> None:
        self._connections = connections
        self.task: asyncio.Task[None]
        self.protocol: Any = None

    @property
    def here(self) -> bool:
        """A WebSocket is none of the server's connections any more: another protocol has it."""
        return not self.task.done() or self.protocol in self._connections

    async def leave(self) -> None:
        """Ends it, and comes back when its descriptor is free."""
        self.task.cancel()
        await asyncio.wait([self.task])
        if self.here:
            self.protocol.transport.abort()
        while self.here:  # noqa: ASYNC110 uvicorn tells nobody, and it takes only some turns of the loop
            await asyncio.sleep(0)

    def end_silent(self) -> None:
        if self.here and self.protocol.cycle is None:
            self.protocol.transport.abort()


class Acceptor:
    """Takes the connections of a socket for a web server, which would take any number, and wait for each for ever.

    :param listening: where they come.
    :param server: has started, without sockets of its own.
    """

    def __init__(self, listening: socket.socket, server: uvicorn.Server) -> None:
        self._listening, self._server = listening, server
        self._guests: list[_Guest] = []
        self._task = asyncio.create_task(self._accept())

    async def close(self) -> None:
        """Take no more; what is connected is the server's."""
        tasks = [self._task, *(guest.task for guest in self._guests)]
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
            await self._make_room(made)

    async def _make_room(self, made: socket.socket) -> None:
        """Let one more in, if need be for another. Accepting waits for that: while many come it would never let go."""
        connections = self._server.server_state.connections
        self._guests = [guest for guest in self._guests if guest.here]
        if len(self._guests) >= MOST:
            try:
                await self._guests.pop(0).leave()
            except BaseException:
                made.close()
                raise
        guest = _Guest(connections)
        guest.task = asyncio.create_task(self._connect(made, guest))
        self._guests.append(guest)

    async def _connect(self, made: socket.socket, guest: _Guest) -> None:
        loop, config = asyncio.get_running_loop(), self._server.config
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit = {"ssl_handshake_timeout": SILENT} if config.ssl else {}
        try:
            _, guest.protocol = await loop.connect_accepted_socket(self._protocol, made, ssl=config.ssl, **limit)
        except OSError as error:  # no TLS, or not in time: the client's affair
            logger.debug("no connection to the page: %s", error)
        except BaseException:
            made.close()
            raise
        else:
            loop.call_later(SILENT, guest.end_silent)

    def _protocol(self) -> Any:
        server = self._server
        made: Any = server.config.http_protocol_class
        return made(config=server.config, server_state=server.server_state, app_state=server.lifespan.state)
