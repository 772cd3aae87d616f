"""A process of the queue does not outlive the one that started it, and does not keep its signal handlers."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

LOOK_EVERY = 0.5
"""Seconds."""


def when_orphaned(then: Callable[[], object]) -> None:
    """Call ``then``, from a thread, when the process that started this one is gone."""
    parent = os.getppid()
    ended = threading.Event()

    def watch() -> None:
        while os.getppid() == parent:
            ended.wait(LOOK_EVERY)
        then()

    threading.Thread(target=watch, name="orphan", daemon=True).start()


def usual_signals() -> None:
    """Undo handlers that queueserver's first process has set for itself: they kill its children."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
