"""Edges at the input of a camera that has no wires."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue


class SoftwareEdges:
    """Exposures that edges begin; one at a time, and an edge within one is missed.

    :param stopped: set while the camera is stopped; ends a wait.
    :ivar line: the input that is watched, None for none.
    :ivar missed: edges that came within an exposure, since the last start.
    :ivar ended: exposures that ended since then.
    :ivar ended_at: when the last of them did, s of ``time.monotonic``.
    """

    def __init__(self, stopped: threading.Event) -> None:
        self.line: str | None = None
        self.missed = self.ended = 0
        self.ended_at = 0.0
        self._due: SimpleQueue[float] = SimpleQueue()
        self._next: float | None = None
        self._busy_until = 0.0
        self._period = 0.0
        self._lock = threading.Lock()
        self._stopped = stopped

    def start(self, period: float) -> None:
        """Forget earlier edges; an exposure takes ``period`` seconds."""
        with self._lock:
            self._due, self._next = SimpleQueue(), None
            self.missed, self.ended, self._busy_until, self._period = 0, 0, 0.0, period

    def fire(self) -> bool:
        """An edge, from any thread; False where it is missed."""
        with self._lock:
            now = time.monotonic()
            if self.line is None or now < self._busy_until:
                self.missed += self.line is not None
                return False
            self._busy_until = now + self._period
            self._due.put(self._busy_until)
            return True

    def wait(self, timeout: float) -> bool:
        """Whether an exposure ends within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        if self._next is None:
            try:
                self._next = self._due.get(timeout=timeout)
            except Empty:
                return False
        wait = self._next - time.monotonic()
        if wait > 0 and (self._stopped.wait(min(wait, max(0.0, end - time.monotonic()))) or self._next > end):
            return False
        self.ended_at, self._next = self._next, None
        self.ended += 1
        return True
