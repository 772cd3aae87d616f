"""Waiting for a file descriptor."""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Callable


def readable(fd: int, seconds: float) -> bool:
    """Wait up to ``seconds`` until ``fd`` has bytes, or was closed by its other end."""
    return _wait(fd, seconds, write=False)


def writable(fd: int, seconds: float) -> bool:
    """Wait up to ``seconds`` until ``fd`` takes bytes."""
    return _wait(fd, seconds, write=True)


def _wait(fd: int, seconds: float, *, write: bool) -> bool:
    if sys.platform == "win32":
        return any(select.select([] if write else [fd], [fd] if write else [], [], seconds))
    # poll, because select cannot wait for descriptors above 1023.
    poller = select.poll()
    poller.register(fd, select.POLLOUT if write else select.POLLIN)
    return bool(poller.poll(max(0, round(seconds * 1000 + 0.4))))


def write_all(send: Callable[[memoryview], int], fd: int, data: bytes, seconds: float) -> None:
    """Write all of ``data`` to a descriptor that does not block.

    A line goes out in one call: waiting first whether it would cost another turn of Python's lock, ahead of a stop.

    :param send: writes what it can and says how much.
    :raises TimeoutError: it was not taken within ``seconds``.
    """
    left, end = memoryview(data), time.monotonic() + seconds
    while True:
        with contextlib.suppress(BlockingIOError):  # the buffer is full: nothing was taken
            left = left[send(left) :]
        if not left:
            return
        if not writable(fd, max(0.0, end - time.monotonic())):
            raise TimeoutError("a write did not finish")
