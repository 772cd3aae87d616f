"""What a client opens: a pseudo-terminal or a TCP port, without any timing."""

from __future__ import annotations

import contextlib
import os
import socket
import termios
import tty
from abc import ABC, abstractmethod
from pathlib import Path


class Endpoint(ABC):
    """Bytes from and to a client. Used by one thread; nothing blocks."""

    #: What a client opens, as pyserial takes it.
    url: str

    @abstractmethod
    def readers(self) -> list[int]:
        """File descriptors to wait on."""

    @abstractmethod
    def receive(self, fd: int) -> bytes:
        """What came in on ``fd``; nothing where only a client came or went."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Hand ``data`` to the client; lost where none listens, as on a serial line."""

    @abstractmethod
    def disconnect(self) -> None:
        """Pull the cable: the client gets an I/O error."""

    @abstractmethod
    def reconnect(self) -> None:
        """Plug it in again."""

    def line_speed(self) -> int | None:
        """Bits per second that the client set; None where the line has none (TCP)."""
        return None


class PtyEndpoint(Endpoint):
    """A pseudo-terminal in raw mode, which clients may open and close as they like.

    :param baud: bits per second that the line is set to before a client sets its own.
    :param link: a symbolic link kept on the terminal, the same path also after a disconnect.
    """

    def __init__(self, baud: int, link: Path | None = None) -> None:
        self._baud, self._link = baud, link
        self._master = self._slave = -1
        self.reconnect()

    def reconnect(self) -> None:
        if self._master >= 0:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        settings = termios.tcgetattr(self._slave)
        settings[4] = settings[5] = getattr(termios, f"B{self._baud}")
        termios.tcsetattr(self._slave, termios.TCSANOW, settings)
        os.set_blocking(self._master, False)
        self.url = os.ttyname(self._slave)
        if self._link:
            self._unlink()
            try:
                self._link.symlink_to(self.url)
            except OSError:
                self.disconnect()
                raise
            self.url = str(self._link)

    def readers(self) -> list[int]:
        return [self._master] if self._master >= 0 else []

    def receive(self, fd: int) -> bytes:
        try:
            return os.read(fd, 4096)
        except BlockingIOError:
            return b""

    def send(self, data: bytes) -> None:
        # A client that does not read fills the terminal's buffer; a real line would lose the bytes as well.
        with contextlib.suppress(BlockingIOError):
            if self._master >= 0:
                os.write(self._master, data)

    def disconnect(self) -> None:
        for fd in (self._master, self._slave):
            if fd >= 0:
                os.close(fd)
        self._master = self._slave = -1
        self._unlink()

    def _unlink(self) -> None:
        if self._link and self._link.is_symlink():  # never a file that somebody keeps there
            self._link.unlink()

    def line_speed(self) -> int | None:
        code = termios.tcgetattr(self._slave)[4] if self._slave >= 0 else None
        rates = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400)
        return next((rate for rate in rates if getattr(termios, f"B{rate}") == code), None)


class TcpEndpoint(Endpoint):
    """A TCP port on 127.0.0.1 that serves one client at a time, as a serial device server does."""

    def __init__(self) -> None:
        self._port = 0
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self.reconnect()

    def reconnect(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self._port))
            self._listener.setblocking(False)
            self._port = self._listener.getsockname()[1]
            self.url = f"socket://127.0.0.1:{self._port}"

    def readers(self) -> list[int]:
        active = self._client or self._listener
        return [active.fileno()] if active else []

    def receive(self, fd: int) -> bytes:  # noqa: ARG002 (there is one socket to wait on, ``readers`` says which)
        if self._client is None:
            self._accept()
        if self._client is None:
            return b""
        try:  # at once, also where it has just been let in: it may have sent something already
            data = self._client.recv(4096)
        except BlockingIOError:
            return b""
        except ConnectionError:
            data = b""
        if not data:
            self._drop_client()
        return data

    def send(self, data: bytes) -> None:
        # The client may be gone or not reading: a serial line loses such bytes too.
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self._client:
                self._client.send(data)

    def disconnect(self) -> None:
        self._drop_client()
        if self._listener:
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        if self._listener:
            try:
                self._client, _ = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                return  # it left before it was let in
            self._client.setblocking(False)
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _drop_client(self) -> None:
        if self._client:
            self._client.close()
            self._client = None
