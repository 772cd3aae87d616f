"""Whether those who subscribed are told of what is new, by whichever process of the server they happened to reach."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

import orjson
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

# With two processes that share no cache, chances are 1 in 2**7 that all of these reach the one that is written to.
COUNT = 8
_OPEN_TIMEOUT = 10.0


class Subscribers:
    """Several connections that listen to one array.

    :param uri: of Tiled's API.
    :param path: of the array.
    :param headers: of a reader.
    """

    def __init__(self, uri: str, path: str, headers: dict[str, str]) -> None:
        self._address = f"ws{uri.removeprefix('http')}/stream/single/{quote(path)}?envelope_format=json"
        self._headers = headers
        self._sockets: list[ClientConnection] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Connected, and told what the array is, for as long as the block lasts.

        :raises OSError: a connection is refused.
        :raises WebSocketException: the server takes no subscribers.
        """
        with ExitStack() as stack:
            for _ in range(COUNT):
                socket = stack.enter_context(
                    connect(self._address, additional_headers=self._headers, open_timeout=_OPEN_TIMEOUT)
                )
                socket.recv(_OPEN_TIMEOUT)  # the schema: from then on nothing is missed
                self._sockets.append(socket)
            yield

    def told(self, rows: int, seconds: float) -> int:
        """How many of them were told, within ``seconds``, that there are so many rows."""
        end = time.monotonic() + seconds
        return sum(_is_told(socket, rows, end) for socket in self._sockets)


def _is_told(socket: ClientConnection, rows: int, end: float) -> bool:
    try:
        while True:
            message = socket.recv(max(0.0, end - time.monotonic()))
            shape = orjson.loads(message).get("shape")
            if shape and shape[0] >= rows:
                return True
    except (TimeoutError, WebSocketException):
        return False
