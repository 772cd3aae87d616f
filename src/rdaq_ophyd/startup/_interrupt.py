"""Ctrl-C during a plan, or a request to end the process: stop the axes, then pause hard."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from bluesky import RunEngine
from bluesky.utils import TransitionError  # type: ignore[attr-defined] # bluesky's own name for it

__all__ = ["PauseOnInterrupt"]
logger = logging.getLogger(__name__)

#: Ctrl-C, a service manager's end, a terminal that was closed (there is none of the last on Windows).
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class PauseOnInterrupt:
    """Context manager for ``RE.context_managers``.

    Each signal writes the stops at once from the signal handler (it needs no event loop), then requests a hard
    pause from a thread of its own, since the request must not wait for the loop inside a handler.

    :param RE: the RunEngine to pause.
    :param halt: writes the stop of every axis, thread-safe, without waiting.
    :param note: told the number of the signal.
    """

    def __init__(
        self,
        RE: RunEngine,  # noqa: N803 the name bluesky passes
        *,
        halt: Callable[[], None],
        note: Callable[[int], None] = lambda _signum: None,
    ) -> None:
        self._re = RE
        self._halt = halt
        self._note = note
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        # A signal handler can be set in the main thread only; elsewhere (a daemon) signals are not the user's way.
        if threading.current_thread() is not threading.main_thread():
            return
        self._thread = threading.Thread(target=self._pause, name="pause-on-interrupt", daemon=True)
        self._thread.start()
        self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        self._halt()
        self._note(signum)
        self._requests.put(True)

    def _pause(self) -> None:
        while self._requests.get():
            try:
                self._re.request_pause(defer=False)
            except TransitionError as error:
                logger.info("interrupt: %s", error)  # already pausing, or just finished

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._thread is not None:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._requests.put(False)
            self._thread.join(5)
            self._thread = None
