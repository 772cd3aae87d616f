"""A link over a port that another process opened."""

from __future__ import annotations

import os
from typing import Any

from rdaq_ophyd.errors import LinkClosed
from rdaq_ophyd.link import Link, readable, writable, write_all

CHUNK = 65536
"""Most bytes taken at once."""
WRITE_TIMEOUT = 1.0
"""Seconds after which a write that the port does not take fails."""


class SharedLink(Link):
    """Uses a duplicate of an open descriptor, so that no control line moves and nobody else gets the port meanwhile.

    :param url: of the port, for messages.
    :param fd: the descriptor; stays open, whoever gave it closes it.
    """

    def __init__(self, url: str, fd: int, **options: Any) -> None:
        super().__init__(url, **options)
        self._shared = fd
        self._fd: int | None = None

    def _open(self) -> None:
        self._fd = os.dup(self._shared)
        os.set_blocking(self._fd, False)

    def _read(self, seconds: float) -> bytes:
        fd = self._descriptor()
        try:
            if not readable(fd, seconds):
                return b""
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._vanished(error) from error
        if not data:
            raise self._vanished(OSError("the device is gone"))
        return data

    def _write(self, data: bytes) -> None:
        fd = self._descriptor()
        try:
            write_all(lambda left: os.write(fd, left), fd, data, WRITE_TIMEOUT)
        except OSError as error:
            raise self._vanished(error) from error

    def _shut(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _ready(self) -> bool:
        return self._fd is not None and writable(self._fd, 0.0)

    def fileno(self) -> int | None:
        """The descriptor."""
        return self._fd

    def _descriptor(self) -> int:
        if self._fd is None:
            raise LinkClosed(f"{self.url}: the link is closed", hint="it is used by one rescue only")
        return self._fd

    def _vanished(self, error: OSError) -> LinkClosed:
        return LinkClosed(f"{self.url}: the port stopped working ({error})", hint="check the cable and the instrument")
