"""Arming: somebody wants light, and wants it now."""

from __future__ import annotations

import math
import time


class Arming:
    """Valid for a bounded time, for one emission. Taking it back needs no lock and no event loop.

    :param seconds: how long it is valid.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = -math.inf

    @property
    def valid(self) -> bool:
        """Whether it was armed, just before, and not used since."""
        return time.monotonic() < self._until

    def arm(self) -> None:
        """From now on, for ``seconds``."""
        self._until = time.monotonic() + self.seconds

    def disarm(self) -> None:
        """It was used, or everything is stopped, or the laser was lost. Any thread."""
        self._until = -math.inf
