"""Waiting for a file descriptor."""

from __future__ import annotations

import select
import sys


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
