"""What a session tells its watchdog: lines of JSON over a socket pair, descriptors of ports beside them."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

BEAT = 0.5
"""Seconds between two signs of life."""
ACK = b"\n"
"""The watchdog's answer to a message that carries a descriptor or takes one back."""


def tell(peer: socket.socket, message: Mapping[str, Any], fd: int | None = None) -> None:
    """Send one message, with the descriptor of an open port where there is one."""
    line = json.dumps(message).encode() + b"\n"
    if fd is None:
        peer.sendall(line)
    else:
        socket.send_fds(peer, [line[:1]], [fd])
        peer.sendall(line[1:])


class Inbox:
    """The watchdog's end: whole messages, each with the descriptor that came with it."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._buffer = bytearray()
        self._fds: list[int] = []

    def take(self) -> list[tuple[dict[str, Any], int | None]] | None:
        """What has arrived; None when the other end is gone.

        A message with a descriptor is sent alone, and answered before the next one: so it is the only one here.
        """
        try:
            data, fds, _, _ = socket.recv_fds(self._peer, 1 << 16, 4)
        except ConnectionError:
            return None
        if not data:
            return None
        self._fds += fds
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        messages = [json.loads(line) for line in lines]
        return [(m, self._fds.pop(0) if m.get("fd") and self._fds else None) for m in messages]
