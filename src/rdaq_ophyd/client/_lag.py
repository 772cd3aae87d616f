"""How far behind a callback is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)
FIRST = 64
"""Documents that may wait before anybody is told; then at each doubling."""
MOST = 100_000
"""Documents that wait here; more wait at the server, until it lets this listener go."""

type Callback = Callable[[str, dict[str, Any]], object]
type OnBehind = Callable[[int], object]


class Lag:
    """Tells how many documents wait for a callback.

    :param tell: called with their number; without it a warning is logged.
    """

    def __init__(self, callback: Callback, tell: OnBehind | None) -> None:
        self._callback, self._tell = callback, tell
        self._next = FIRST

    def note(self, waiting: int) -> None:
        """So many wait now."""
        if waiting < FIRST // 2:
            self._next = FIRST
        elif waiting >= self._next:
            self._next = 2 * waiting
            if self._tell is not None:
                self._tell(waiting)
            else:
                logger.warning("%r is %d documents behind", self._callback, waiting)


def failed(callback: Callback, name: str) -> None:
    """In an except clause: a callback that fails on one document gets the next one all the same."""
    logger.exception("callback %r failed on a %s document", callback, name)
