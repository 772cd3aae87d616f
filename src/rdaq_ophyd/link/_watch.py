"""Notices at once that a port was unplugged, also when nobody uses it."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


HANGUP = getattr(select, "POLLRDHUP", 0)
"""A peer that sends no more; hang-ups and errors are always told."""


class HangupWatch:
    """One thread for all ports of the process: asleep until the other end of one of them goes away.

    Where the system cannot wait for that (no ``poll``), the heartbeat of a link has to notice.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, Callable[[], None]] = {}
        self._wake: tuple[int, int] | None = None

    def add(self, fd: int, gone: Callable[[], None]) -> None:
        """Call ``gone`` once, from the watching thread, when the other end of ``fd`` goes away."""
        if not hasattr(select, "poll"):
            return
        with self._lock:
            self._watched[fd] = gone
            if self._wake is None:
                read, write = os.pipe()
                os.set_blocking(read, False)
                self._wake = (read, write)
                threading.Thread(target=self._run, args=(read,), name="rdaq-link-watch", daemon=True).start()
            else:
                os.write(self._wake[1], b"!")

    def remove(self, fd: int) -> None:
        """Stop watching ``fd``; before it is closed."""
        with self._lock:
            if self._watched.pop(fd, None) is not None and self._wake is not None:
                os.write(self._wake[1], b"!")

    def _run(self, wake: int) -> None:
        while True:
            with self._lock:
                if not self._watched:
                    self._end()
                    return
                poller = select.poll()
                poller.register(wake, select.POLLIN)
                for fd in self._watched:
                    poller.register(fd, HANGUP)
            for fd, events in poller.poll():
                if fd == wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake, 4096)
                elif events:
                    self._tell(fd)

    def _tell(self, fd: int) -> None:
        with self._lock:
            # The event may be that of a descriptor which was closed meanwhile, and its number given to another port.
            poller = select.poll()
            poller.register(fd, HANGUP)
            gone = self._watched.pop(fd, None) if fd in self._watched and poller.poll(0) else None
        if gone is not None:
            try:
                gone()
            except Exception:  # the other ports must be watched whatever this one does
                logger.exception("a port that went away")

    def _end(self) -> None:
        if self._wake is not None:
            for fd in self._wake:
                os.close(fd)
            self._wake = None


watch = HangupWatch()
"""The watch of this process."""
