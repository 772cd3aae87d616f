"""An instrument behind a TCP socket (``tcp://host:port``)."""

from __future__ import annotations

import contextlib
import socket
from typing import Any
from urllib.parse import urlsplit

from rdaq_ophyd.errors import PortNotFound

from ._link import Link
from ._port_errors import opening_failed, vanished
from ._wait import readable, writable, write_all

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for the other end to accept."""
WRITE_TIMEOUT = 1.0
"""Seconds after which a write that the other end does not take fails."""
CHUNK = 65536
"""Most bytes taken from the socket at once."""


class TcpLink(Link):
    """A link over a TCP socket of its own, without delay for small packets.

    :param url: ``tcp://host:port``.
    """

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._socket: socket.socket | None = None

    def _address(self) -> tuple[str, int]:
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or not port:
            raise PortNotFound(f"{self.url}: not an address", hint="write tcp://HOST:PORT")
        return host, port

    def _open(self) -> None:
        address = self._address()
        try:
            sock = socket.create_connection(address, timeout=CONNECT_TIMEOUT)
        except OSError as error:
            raise opening_failed(self.url, error) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self._socket = sock

    def _read(self, seconds: float) -> bytes:
        try:
            sock = self._open_socket()
            if not readable(sock.fileno(), seconds):
                return b""
            try:
                data = sock.recv(CHUNK)
            except BlockingIOError:
                return b""
            if not data:
                raise ConnectionResetError("the other end closed the connection")
        except OSError as error:
            raise vanished(self.url, error) from error
        return data

    def _write(self, data: bytes) -> None:
        try:
            sock = self._open_socket()
            write_all(sock.send, sock.fileno(), data, WRITE_TIMEOUT)
        except OSError as error:
            raise vanished(self.url, error) from error

    def _ready(self) -> bool:
        return self._socket is None or writable(self._socket.fileno(), 0.0)

    def fileno(self) -> int | None:
        """The descriptor of the socket."""
        return None if self._socket is None else self._socket.fileno()

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise OSError("the socket is not open")
        return self._socket

    def _shut(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            with contextlib.suppress(OSError):  # the other end was faster
                sock.shutdown(socket.SHUT_RDWR)  # also for whoever holds a duplicate
            sock.close()
