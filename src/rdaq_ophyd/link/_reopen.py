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
    :param attempt: opens the port; raises an RdaqError when that fails. It is given a function that says whether
        the attempt is still wanted, to be asked once nobody else can open or close the port.
    """

    def __init__(self, url: str, attempt: Callable[[Callable[[], bool]], None]) -> None:
        self._url, self._attempt = url, attempt
        self._pause = FIRST_PAUSE
        self._lock = threading.Lock()
        self._allowed = True
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def allow(self) -> None:
        """From now on ``start`` is to be obeyed."""
        with self._lock:
            self._allowed = True

    def start(self, *, slowly: bool = False) -> None:
        """Begin to try, unless nobody wants the port; at the slowest pace when another instrument was found there."""
        with self._lock:
            if not self._allowed:
                return
            if slowly:
                self._pause = LONGEST_PAUSE
            # One thread at a time: whoever tried before makes no more attempts.
            self._over.set()
            self._over = threading.Event()
            thread = threading.Thread(
                target=self._run, args=(self._over,), name=f"rdaq-link-reopen {self._url}", daemon=True
            )
            self._threads = [*(other for other in self._threads if other.is_alive()), thread]
            thread.start()

    def succeeded(self) -> None:
        """The instrument is the one it should be: the next loss begins with short pauses again."""
        self._pause = FIRST_PAUSE

    def give_up(self) -> None:
        """Make no more attempts until allowed again; one that is under way finds that out by itself."""
        with self._lock:
            self._allowed = False
            self._over.set()

    def join(self) -> None:
        """Wait until no attempt is under way any more, but for the caller's own."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _run(self, over: threading.Event) -> None:
        while not over.wait(self._pause):
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            try:
                self._attempt(lambda: not over.is_set())
            except RdaqError as error:
                logger.debug("%s: not back yet: %s", self._url, error)
            except Exception:  # whatever it is, the next attempt may succeed
                logger.exception("%s: an attempt to open it again", self._url)
            else:
                return
