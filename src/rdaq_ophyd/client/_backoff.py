"""How long to wait before the next try, and when to give up."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

FIRST, MOST = 0.1, 2.0
"""Seconds before the second try, and the most between two; each is up to half shorter: not all clients at once."""


@dataclass
class Backoff:
    """Waits that double, for as long as somebody is patient.

    :param patience: seconds from the first failure on; infinity for ever.
    """

    patience: float
    _next: float = FIRST
    _end: float | None = None

    def failed(self) -> float | None:
        """It failed: the seconds to wait; None when the patience is at its end."""
        now = time.monotonic()
        if self._end is None:
            self._end = now + self.patience
        if now >= self._end:
            return None
        wait, self._next = self._next, min(2 * self._next, MOST)
        return min(wait * random.uniform(0.5, 1.0), self._end - now)

    def well(self) -> None:
        """It works again."""
        self._next, self._end = FIRST, None
