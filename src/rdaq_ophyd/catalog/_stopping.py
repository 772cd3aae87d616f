"""An end that a signal handler may ask for."""

from __future__ import annotations

import queue


class Stopping:
    """What a ``threading.Event`` is, for one waiter, and safe in a signal handler.

    A handler that sets an Event on which its own thread is about to wait finds the Event's lock held, for good. The
    put of a SimpleQueue is made to be interrupted.
    """

    def __init__(self) -> None:
        self._asked = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Ask for the end. From any thread and any signal handler."""
        self._asked = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Whether it was asked for."""
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Wait until it is asked for, at most ``seconds``; whether it was."""
        if not self._asked:
            try:
                self._wake.get(timeout=seconds)
            except queue.Empty:
                return self._asked
        return self._asked
