"""Who is connected to the page: so many at a time, and the newest always; those that say nothing are not waited for."""

from __future__ import annotations

import asyncio
import contextlib
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
CLOSING = 1.0
"""Seconds for the other side's last word in TLS; asyncio would wait 30, with the connection open."""
AGAIN = 0.5
"""Seconds after which accepting is tried again where it failed."""
LOOKS = 50
"""Times that it is looked, each millisecond, whether one that was ended has gone."""


class _Guest:
    """One who came: at first with a task that lets it in, then with the protocol that serves it.

    :param connections: of the server; one that has become a WebSocket is in it as another protocol.
    """

    def __init__(self, made: socket.socket, connections: set[Any]) -> None:
        self.made, self._connections = made, connections
        self.task: asyncio.Task[None]
        self.protocol: Any = None
        self.begun = False

    @property
    def coming(self) -> bool:
        """Whether it is being let in."""
        return not self.task.done()

    @property
    def here(self) -> bool:
        """Whether it is coming, or what it was let in as."""
        return self.coming or self.protocol in self._connections

    def end(self) -> None:
        """Whatever it does, and without waiting for its last word."""
        self.task.cancel()
        if self.protocol is not None:
            self.protocol.transport.abort()
        with contextlib.suppress(OSError):  # it has gone, or goes
            self.made.shutdown(socket.SHUT_RDWR)
        if not self.begun:
            self.made.close()  # else it is the transport's

    async def leave(self) -> None:
        """End it, and wait until it has gone, bounded: one of TLS that was closed twice is not aborted any more."""
        self.end()
        for _ in range(LOOKS):
            if not self.here:
                return
            await asyncio.sleep(0.001)

    def end_silent(self) -> None:
        """End it if it has asked for nothing yet."""
        if self.here and self.protocol.cycle is None:
            self.end()


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
        self._task.cancel()
        coming = [guest for guest in self._guests if guest.coming]
        for guest in coming:
            guest.end()
        await asyncio.gather(self._task, *(guest.task for guest in coming), return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                made, _ = await loop.sock_accept(self._listening)
            except OSError as error:  # no descriptor left, or the client has gone
                logger.warning("a connection to the page was not taken: %s", error.strerror)
                await asyncio.sleep(AGAIN)
                continue
            try:
                there_is_room = await self._make_room()
            except BaseException:
                made.close()
                raise
            if there_is_room:
                self._let_in(made)
            else:
                made.close()

    async def _make_room(self) -> bool:
        """Whether there is room for one more, if need be that of others. While many come, accepting waits for that."""
        connections = self._server.server_state.connections
        while True:
            self._guests = [guest for guest in self._guests if guest.here]
            if len(connections) + sum(guest.coming for guest in self._guests) < MOST:
                return True
            if not self._guests:
                return False
            await self._guests.pop(0).leave()

    def _let_in(self, made: socket.socket) -> None:
        guest = _Guest(made, self._server.server_state.connections)
        guest.task = asyncio.create_task(self._connect(guest))
        self._guests.append(guest)

    async def _connect(self, guest: _Guest) -> None:
        loop, config = asyncio.get_running_loop(), self._server.config
        guest.begun = True
        limits = {"ssl_handshake_timeout": SILENT, "ssl_shutdown_timeout": CLOSING} if config.ssl else {}
        try:
            with contextlib.suppress(OSError):  # the client has gone, which reading tells
                guest.made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made = await loop.connect_accepted_socket(self._protocol, guest.made, ssl=config.ssl, **limits)
        except OSError as error:  # no TLS, or not in time: the client's affair
            logger.debug("no connection to the page: %s", error)
        else:
            guest.protocol = made[1]
            loop.call_later(SILENT, guest.end_silent)

    def _protocol(self) -> Any:
        server = self._server
        made: Any = server.config.http_protocol_class
        return made(config=server.config, server_state=server.server_state, app_state=server.lifespan.state)
