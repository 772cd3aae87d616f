"""Ctrl-C during a plan: stop the axes, then pause hard."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from bluesky import RunEngine
from bluesky.utils import TransitionError  # type: ignore[attr-defined] # bluesky's own name for it

__all__ = ["PauseOnInterrupt"]
logger = logging.getLogger(__name__)


class PauseOnInterrupt:
    """Context manager for ``RE.context_managers``.

    Each SIGINT writes the stops at once from the signal handler (it needs no event loop), then requests a hard
    pause from a thread of its own, since the request must not wait for the loop inside a handler.

    :param RE: the RunEngine to pause.
    :param halt: writes the stop of every axis, thread-safe, without waiting.
    """

    def __init__(self, RE: RunEngine, *, halt: Callable[[], None]) -> None:  # noqa: N803 the name bluesky passes
        self._re = RE
        self._halt = halt
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        # A signal handler can be set in the main thread only; elsewhere (a daemon) SIGINT is not the user's way.
        if threading.current_thread() is not threading.main_thread():
            return
        self._thread = threading.Thread(target=self._pause, name="pause-on-interrupt", daemon=True)
        self._thread.start()
        self._before = signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self._halt()
        self._requests.put(True)

    def _pause(self) -> None:
        while self._requests.get():
            try:
                self._re.request_pause(defer=False)
            except TransitionError as error:
                logger.info("Ctrl-C: %s", error)  # already pausing, or just finished

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._thread is not None:
            signal.signal(signal.SIGINT, self._before)
            self._requests.put(False)
            self._thread.join(5)
            self._thread = None
