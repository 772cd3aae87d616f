"""A serial port, or anything else that pyserial takes as a URL."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import Any, Literal

import serial

from ._exchanger import SLICE
from ._link import Link
from ._port_errors import opening_failed, vanished
from ._usb import device_of
from ._wait import readable, writable, write_all

FAILURES: tuple[type[Exception], ...] = (OSError, ValueError)
if sys.platform != "win32":
    import fcntl
    import termios

    FAILURES += (termios.error,)  # a setting that the line cannot have; pyserial lets it through

WRITE_TIMEOUT = 1.0
"""Seconds after which a write that the port does not take fails (flow control, full buffer of a dead peer)."""
CHUNK = 65536
"""Most bytes taken from the port at once."""


@dataclass(frozen=True)
class SerialSettings:
    """How a serial line is set; the defaults are the usual 9600 8N1 without flow control. ``stopbits``: 1, 1.5 or 2."""

    baudrate: int = 9600
    bytesize: Literal[5, 6, 7, 8] = 8
    parity: Literal["N", "E", "O", "M", "S"] = "N"
    stopbits: float = 1
    rtscts: bool = False
    xonxoff: bool = False

    def __str__(self) -> str:
        flow = "".join((" RTS/CTS" if self.rtscts else "", " XON/XOFF" if self.xonxoff else ""))
        return f"{self.baudrate} {self.bytesize}{self.parity}{self.stopbits:g}{flow}"


class SerialLink(Link):
    """A link over pyserial: ``/dev/ttyUSB0``, ``COM3``, ``socket://``, ``rfc2217://``, ``loop://``, ``spy://``.

    A port of this machine is opened exclusively. ``usb:SERIAL`` and ``usb:VID:PID:SERIAL`` name it by its USB adapter:
    opened is the port that the adapter has by then.

    :param url: the port's name or URL.
    :param settings: baud rate and the like; ignored by pyserial where the URL has no line behind it.
    """

    def __init__(self, url: str, settings: SerialSettings | None = None, **options: Any) -> None:
        super().__init__(url, **options)
        self.settings = settings or SerialSettings()
        self._port: serial.Serial | None = None
        self._fd: int | None = None

    def _open(self) -> None:
        s, device = self.settings, device_of(self.url)
        options: dict[str, Any] = {} if "://" in self.url else {"exclusive": True}
        # A pseudo-terminal has neither parity nor seven bits, and Linux refuses to be asked for them twice.
        bare = os.path.realpath(self.url).startswith("/dev/pts/")
        try:
            port = serial.serial_for_url(
                device,
                baudrate=s.baudrate,
                bytesize=8 if bare else s.bytesize,
                parity="N" if bare else s.parity,
                stopbits=s.stopbits,
                rtscts=s.rtscts,
                xonxoff=s.xonxoff,
                timeout=SLICE / 2,
                write_timeout=WRITE_TIMEOUT,
                **options,
            )
        except FAILURES as error:
            raise opening_failed(self.url, error) from error
        except Exception as error:
            if not _from_termios(error):
                raise
            raise vanished(self.url, OSError(str(error))) from error
        self._port = port
        # A real port on POSIX can be waited for directly: pyserial's own read needs three system calls a byte run.
        # URL handlers (spy://, rfc2217://) must be asked through their own read.
        self._fd = port.fileno() if os.name == "posix" and type(port) is serial.Serial else None
        if self._fd is not None:
            _keep_control_lines(self._fd)

    def _read(self, seconds: float) -> bytes:
        try:
            if self._fd is not None:
                return self._read_fd(self._fd, seconds)
            return self._read_port(seconds)
        except (OSError, TypeError, AttributeError) as error:  # pyserial raises the last two for a port closed under it
            raise vanished(self.url, error) from error

    @staticmethod
    def _read_fd(fd: int, seconds: float) -> bytes:
        if not readable(fd, seconds):
            return b""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            raise OSError("the device is gone")
        return data

    def _read_port(self, seconds: float) -> bytes:
        if self._port is None:
            raise OSError("the port is not open")
        waiting: int = self._port.in_waiting
        if waiting or seconds > 0:
            # One byte more than nothing: blocks for at most the port's own time-out.
            return bytes(self._port.read(max(1, waiting)))
        return b""

    def _write(self, data: bytes) -> None:
        fd = self._fd
        if self._port is None:
            raise vanished(self.url, OSError("the port is not open"))
        try:
            if fd is None:
                self._port.write(data)
            else:
                write_all(lambda left: os.write(fd, left), fd, data, WRITE_TIMEOUT)
        except OSError as error:
            raise vanished(self.url, error) from error

    def _ready(self) -> bool:
        return self._fd is None or writable(self._fd, 0.0)

    def fileno(self) -> int | None:
        """The descriptor of a port of this machine."""
        return self._fd

    def _shut(self) -> None:
        port, fd = self._port, self._fd
        self._port = self._fd = None
        if port is None:
            return
        if fd is not None:
            # Whoever holds a duplicate of the descriptor (a watchdog, a poll that is just ending) would keep the lock.
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)
        # pyserial leaves the socket of a socket:// port open when the other end closed first.
        sock = getattr(port, "_socket", None)
        try:
            port.close()
        finally:
            if sock is not None:
                sock.close()


def _from_termios(error: Exception) -> bool:
    """Whether a port went away while pyserial opened it; no OSError, and unknown on Windows."""
    return sys.platform != "win32" and isinstance(error, termios.error)


def _keep_control_lines(fd: int) -> None:
    """Do not drop DTR and RTS with the last close: raising them again resets some instruments."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(termios.error):  # a port without control lines
        settings = termios.tcgetattr(fd)
        settings[2] &= ~termios.HUPCL
        termios.tcsetattr(fd, termios.TCSANOW, settings)
