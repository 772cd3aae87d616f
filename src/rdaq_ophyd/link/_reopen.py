"""Opens a port again that went away, with growing pauses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from rdaq_ophyd.errors import RdaqError

logger = logging.getLogger(__name__)
FIRST_PAUSE = 0.1
"""Seconds before the first attempt; doubled after each that fails."""
LONGEST_PAUSE = 5.0
"""Seconds between two attempts at most: replugging is noticed within them."""


class Reopener:
    """A thread that tries until it succeeds or is told to give up.

    :param url: for messages.
    :param attempt: opens the port; raises an RdaqError when that fails.
    """

    def __init__(self, url: str, attempt: Callable[[], None]) -> None:
        self._url, self._attempt = url, attempt
        self._pause = FIRST_PAUSE
        self._giving_up = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def allow(self) -> None:
        """From now on ``start`` is to be obeyed."""
        self._giving_up.clear()

    def start(self, *, slowly: bool = False) -> None:
        """Begin to try, unless nobody wants the port; at the slowest pace when another instrument was found there."""
        with self._lock:
            if self._giving_up.is_set():
                return
            if slowly:
                self._pause = LONGEST_PAUSE
            self._thread = threading.Thread(target=self._run, name=f"rdaq-link-reopen {self._url}", daemon=True)
            self._thread.start()

    def succeeded(self) -> None:
        """The instrument is the one it should be: the next loss begins with short pauses again."""
        self._pause = FIRST_PAUSE

    def give_up(self) -> None:
        """Make no more attempts until allowed again; one that is under way finds that out by itself."""
        with self._lock:
            self._giving_up.set()

    def join(self) -> None:
        """Wait until the thread has ended, unless it is the caller's own."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    @property
    def given_up(self) -> bool:
        """Whether nobody wants the port any more."""
        return self._giving_up.is_set()

    def _run(self) -> None:
        while not self._giving_up.wait(self._pause):
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            try:
                self._attempt()
            except RdaqError as error:
                logger.debug("%s: not back yet: %s", self._url, error)
            else:
                return
