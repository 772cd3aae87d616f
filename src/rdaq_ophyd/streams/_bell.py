"""Waking those who sleep on an event loop, from any thread: all at once, and not for each item."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

QUIET = 0.001
"""Seconds from wake-up to wake-up, of many in a row, however many readers fall asleep again: one takes 10 µs. After a
longer pause the next one is not put off: a timer for it would be a wake-up too."""


class Bell:
    """The sleepers of one event loop; all but :meth:`ring` is called on it.

    :param loop: theirs.
    :param newest: tells which item is the newest.
    :param on_armed: called when somebody has to be woken by the next item.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, newest: Callable[[], int], on_armed: Callable[[], None]
    ) -> None:
        self._loop, self._newest, self._on_armed = loop, newest, on_armed
        self._sleepers: list[asyncio.Future[None]] = []
        self._seen, self._used = 0, 0.0
        self.armed = False

    def sleeper(self) -> asyncio.Future[None]:
        """Done at the next item after this call, or soon after."""
        sleeper = self._loop.create_future()
        self._sleepers.append(sleeper)
        if len(self._sleepers) == 1:
            self._seen = self._newest()
            early = self._used - self._loop.time()
            if early > 0:
                self._loop.call_later(early, self._arm)
            else:
                self._arm()
        return sleeper

    def _arm(self) -> None:
        self.armed = True
        self._on_armed()
        if self._newest() != self._seen:  # it came in the quiet time, or just before anybody knew of a sleeper
            self._rouse()

    def ring(self) -> bool:
        """Wake them soon, from any thread; False when the loop has ended, and with it who slept there."""
        self.armed = False
        try:
            self._loop.call_soon_threadsafe(self._rouse)
        except RuntimeError:
            return False
        return True

    def _rouse(self) -> None:
        # Those of the last while have used up this much; one may be had in advance.
        self._used = max(self._used + QUIET, self._loop.time())
        sleepers, self._sleepers = self._sleepers, []
        for sleeper in sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
