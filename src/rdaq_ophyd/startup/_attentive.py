"""Waits in the main thread that end for a signal, whichever thread the system gives it to."""

from __future__ import annotations

import threading

from bluesky.utils import DefaultDuringTask

__all__ = ["AttentiveDuringTask", "wait_attentively"]

LOOK = 0.1
"""Seconds until a signal that came to another thread is served."""


def wait_attentively(event: threading.Event) -> None:
    """Wait for it, and serve signals meanwhile.

    The handlers of signals run in the main thread. The system gives a signal to any thread of the process, and only a
    wait of the main thread's own breaks off for it: one without a time-out would serve the others' when it is over.
    """
    while not event.wait(LOOK):
        pass


class AttentiveDuringTask(DefaultDuringTask):
    """What the main thread does while a plan runs: bluesky's (1.15.1) waits in one go, where it draws nothing."""

    def block(self, blocking_event: threading.Event) -> None:
        """Wait for the end of the plan; with open plots, bluesky's way."""
        super().block(_Attentive(blocking_event))


class _Attentive:
    """An event, as far as bluesky uses it."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return self._event.wait(timeout)
        wait_attentively(self._event)
        return True
