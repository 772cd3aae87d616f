"""The pipe to a script's process, on the event loop of the RunEngine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from rdaq_ophyd.errors import LimitError

from ._framing import Unpacker, pack

ROOM = 64 << 20
"""Bytes that may wait for a script that does not read."""

CLOSED = "closed its pipe"
"""As a process does that ends."""


class Channel(asyncio.Protocol):
    """Frames both ways.

    :param take: called with each frame that arrives; what it raises as LimitError ends the channel.
    :param lost: called once, with why, when no more will arrive.
    """

    def __init__(self, take: Callable[[dict[str, Any]], None], lost: Callable[[str], None]) -> None:
        self._take, self._lost = take, lost
        self._unpacker = Unpacker()
        self._transport: asyncio.Transport | None = None

    async def open(self, sock: socket.socket) -> None:
        """Begin, on the loop that runs."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_unix_connection(lambda: self, sock=sock)

    def data_received(self, data: bytes) -> None:
        """Take bytes (asyncio)."""
        try:
            for frame in self._unpacker.feed(data):
                self._take(frame)
        except (LimitError, LookupError, TypeError, ValueError, RecursionError) as error:
            self._end(f"sent something that is no message: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed (asyncio)."""
        self._end(CLOSED if exc is None else f"its pipe broke: {exc}")

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame; what cannot be sent any more is dropped.

        :raises LimitError: it is too large.
        """
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(pack(frame))
        if self._transport.get_write_buffer_size() > ROOM:
            self._end(f"left more than {ROOM >> 20} MiB unread")

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.abort()

    def _end(self, why: str) -> None:
        lost, self._lost = self._lost, _nothing
        lost(why)
        self.close()


def _nothing(_why: str) -> None:
    """It was told already."""
