"""How far a server's clock is from ours, by the times that its answers bear."""

from __future__ import annotations

from collections import deque
from email.utils import parsedate_to_datetime

import httpx

LARGEST_SKEW = 2.0
"""Clocks that differ by more (s) are told of: times of runs of several rigs could not be compared."""
LOOKS = 5
"""So many answers in turn have to say so. A busy server dates an answer with a second that is long over: uvicorn renews
the date between two rounds of its event loop, and a round takes as long as it takes."""
# Servers tell the time in whole seconds.
_RESOLUTION = 1.0


class Clocks:
    """What the last few answers tell of the two clocks.

    :ivar skew: how far the server's is ahead of ours, s: what the answer told that was nearest to ours; None where it
        tells no time.
    """

    def __init__(self) -> None:
        self._told: deque[float] = deque(maxlen=LOOKS)
        self.skew: float | None = None

    def hear(self, answer: httpx.Response, before: float, after: float) -> None:
        """Take one answer; the times as for ``clock_skew``."""
        told = clock_skew(answer, before, after)
        if told is None:
            self._told.clear()
        else:
            self._told.append(told)
        self.skew = min(self._told, key=abs, default=None)

    @property
    def doubtful(self) -> bool:
        """They may differ; another answer will tell."""
        return self._apart and len(self._told) < LOOKS

    @property
    def differ(self) -> bool:
        """They differ by more than ``LARGEST_SKEW``."""
        return self._apart and len(self._told) == LOOKS

    @property
    def _apart(self) -> bool:
        return self.skew is not None and abs(self.skew) > LARGEST_SKEW


def clock_skew(answer: httpx.Response, before: float, after: float) -> float | None:
    """How far the server's clock is ahead of ours (s); 0 within what the answer can tell, None where it tells no time.

    :param before: our time when the request was sent, s since the epoch.
    :param after: our time when the answer had come.
    """
    try:
        there = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None
    if there + _RESOLUTION < before:
        return there + _RESOLUTION - before
    return max(0.0, there - after)
