"""Documents for slow listeners, off the RunEngine's loop."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["OffLoop"]
logger = logging.getLogger(__name__)


class OffLoop:
    """Give documents to a callback in a thread of its own: tables and plots take longer than a scan point.

    Subscribe the object itself. A callback that raises is logged and goes on with the next document: a failing
    plot must not end a run.
    """

    def __init__(self, callback: Callable[[str, dict[str, Any]], object]) -> None:
        self._callback = callback
        self._queue: queue.SimpleQueue[tuple[str, dict[str, Any]] | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="documents-off-loop", daemon=True)
        self._thread.start()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document; returns at once."""
        self._queue.put((name, doc))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._callback(*item)
            except Exception:
                logger.exception("callback %r failed on a %s document", self._callback, item[0])

    def flush(self, seconds: float = 2.0) -> bool:
        """Wait until all documents so far were handled; False when ``seconds`` were not enough."""
        reached = threading.Event()
        self._queue.put(reached)
        return reached.wait(seconds)

    def close(self) -> None:
        """Handle what is queued, then end the thread (bounded: a hung plot must not hold the session back)."""
        self._queue.put(None)
        self._thread.join(10)
