"""When a card's samples were taken, by the host's clock."""

from __future__ import annotations

import math

WINDOW = 10.0
"""Seconds after which an estimate is made anew: a clock that is 100 ppm off moves by 1 ms in that time."""


class HostClock:
    """Estimates the host's time of sample 0 from the times at which samples arrive.

    A transfer is never early and often late, so the earliest of the recent ones is nearest to the truth. The
    estimate follows a card's clock that is not quite the host's.

    :param period: seconds from sample to sample, nominal.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self.begin()

    def begin(self, latest: float = math.inf) -> None:
        """Forget what was: sampling begins anew.

        :param latest: host time at which it has begun for certain, s since the epoch.
        """
        self._now, self._before = latest, math.inf
        self._since: float | None = None

    def arrived(self, count: int, host_time: float) -> None:
        """Note that the first ``count`` samples had arrived at ``host_time``, s since the epoch."""
        if self._since is None:
            self._since = host_time
        elif host_time - self._since > WINDOW:
            self._before, self._now, self._since = self._now, math.inf, host_time
        self._now = min(self._now, host_time - count * self._period)

    def time(self, sample: int) -> float:
        """Host time of a sample, s since the epoch."""
        return min(self._now, self._before) + sample * self._period
