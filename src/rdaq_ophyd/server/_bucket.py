"""So many at once, then so many a second."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Bucket:
    """Tokens that are taken, and come back with time.

    :param tokens: there are now.
    :param filled: seconds, when that was so.
    """

    tokens: float
    filled: float

    def take(self, now: float, rate: float, burst: float) -> bool:
        """Whether there was one.

        :param rate: that come back in a second, up to ``burst``.
        """
        self._fill(now, rate, burst)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def owe(self, now: float, rate: float, burst: float) -> float:
        """Take one that may not have come back yet: the seconds until it has."""
        self._fill(now, rate, burst)
        self.tokens -= 1
        return max(0.0, -self.tokens / rate)

    def _fill(self, now: float, rate: float, burst: float) -> None:
        self.tokens = min(burst, self.tokens + (now - self.filled) * rate)
        self.filled = now
