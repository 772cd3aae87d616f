"""How many frames to have on their way: as few as keep the line busy, so that none is old when it is drawn."""

from __future__ import annotations

import math
from collections import deque

MOST = 256
"""Frames that a server lets one client have coming (``MOST_CREDITS`` there)."""
MOST_BYTES = 64 << 20
"""And of their pixels: 3 GB/s at a round trip of 20 ms."""
GAIN = 1.5
"""Times the frames that a line holds by itself: what is lost to jitter is less than that."""
ROUND = 8
"""Messages, of a frame mostly, between two looks: a single hiccup of a machine changes nothing. At first, until it was
enough once, as many frames as there are credits: large ones over a long line are few."""
SOON, FEW = 0.08, 3
"""Where frames lie ready for so long, s, and so many messages, they are too many already: eight take a viewer 0.3 s."""
IDLE = 0.1
"""Share of the time that a reader may wait for frames, from one look to the next, before more of them are asked for:
twice in a row, but at first. Who waited for a machine that stood still once would get old frames for it."""
AT_ONCE = 0.02
"""Seconds' worth of frames granted besides, so that a credit need not be a message of its own, s."""
LACK = 0.001
"""A credit that lay at the server for less was one that it had waited for, or nearly, s."""
SPARE = 2
"""Frames that come while a credit lies there: more, for all of them and for a while, and one credit is too many."""
MEMORY = 5.0
"""Seconds after which shortest times are measured anew, s; a route or a load may have changed."""


class Window:
    """Credits of one reader: those that it has granted are on their way (or wait for the camera), or lie ready.

    Three things tell whether there are too many or too few. Frames that lie ready each time the reader comes are older
    than need be: so many credits are taken back. When it has to wait instead, and the server had to wait for a credit,
    there are too few: a line that is kept busy holds as many frames as come at the best rate in the shortest time that
    one took from its credit to its arrival, and some more than these are granted. Where the reader waits while credits
    lie at the server all the time, the camera or the line has no more to give: after a while one is taken back at each
    look. All times are seconds of one clock.

    :param fixed: frames, always; None adapts, beginning with one.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self.size = fixed or 1
        self.ready = 0
        self._fixed = fixed is not None
        self._opening = True
        self._waits = False
        self._most = MOST
        self._granted: deque[float] = deque()
        # From a credit to its frame; from frame to frame while the reader waits; of a credit at the server.
        self._way, self._period, self._lying = _Shortest(), _Shortest(), _Shortest()
        self._begin(None)

    def _begin(self, now: float | None) -> None:
        self._since, self._taken, self._waited, self._standing = now, 0, 0.0, MOST
        self._messages, self._lay = 0, math.inf

    @property
    def coming(self) -> int:
        """Frames that were granted and have not arrived."""
        return len(self._granted)

    def grant(self, now: float) -> int:
        """How many to grant now, which counts as done; a quarter of them at once, where there are many."""
        number = self.size - self.coming - self.ready
        if number < max(1, (self.size + 2) // 4):
            return 0
        self._granted.extend([now] * number)
        return number

    def arrived(self, nbytes: int, now: float, waited: float = 0.0) -> None:
        """A frame came. One that nobody granted changes nothing.

        :param waited: how long its credit lay at the server until there was a frame, and room for it.
        """
        self.ready += 1
        self._most = max(1, min(MOST, MOST_BYTES // max(1, nbytes)))
        if self._granted:
            self._lay = min(self._lay, waited)
            self._way.add(now - self._granted.popleft(), now)

    def taken(self, waited: float, now: float, *, is_last: bool = True) -> None:
        """The reader took one, and had waited for it.

        :param is_last: none that came in the same message lies ready any more. Those that do could not have come later.
        """
        self.ready -= 1
        if self._fixed:
            return
        if self._since is None:
            self._begin(now)  # how long the first one took is the camera's affair
            return
        self._taken += 1
        self._waited += waited
        if is_last:
            self._standing = min(self._standing, self.ready)
            self._messages += 1
        if self._is_round(now - self._since):
            before = self.size
            self._adapt(now, now - self._since)
            self._opening = self._opening and self.size > before
            self._begin(now)

    def _is_round(self, seconds: float) -> bool:
        """Whether enough was taken in that time for a look; ``ready`` tells something once a message."""
        if self._standing and self._messages >= FEW and seconds >= SOON:
            return True
        if self._opening:
            return self._messages > 0 and self._taken >= min(ROUND, self.size)
        return self._messages >= ROUND

    def _adapt(self, now: float, seconds: float) -> None:
        waited, self._waits = self._waits, 0 < IDLE * seconds < self._waited
        self._lying.add(self._lay, now)
        if self._standing:
            self.size = max(1, self.size - self._standing)
        elif self._waits:
            period = seconds / self._taken
            self._period.add(period, now)
            if self._lay < LACK and (waited or self._opening):
                self.size = min(2 * self.size, self._held(now))
            elif self._lying.get(now) > max(LACK, SPARE * period):
                self.size = max(1, self.size - 1)
        self.size = min(self.size, self._most)

    def _held(self, now: float) -> int:
        """Frames on a line that is kept busy, and some more."""
        return math.ceil((GAIN * self._way.get(now) + AT_ONCE) / self._period.get(now)) + 1


class _Shortest:
    """The shortest time of the last while."""

    def __init__(self) -> None:
        self._before, self._now, self._since = math.inf, math.inf, -math.inf

    def add(self, seconds: float, now: float) -> None:
        self._turn(now)
        self._now = min(self._now, seconds)

    def get(self, now: float) -> float:
        self._turn(now)
        return min(self._before, self._now)

    def _turn(self, now: float) -> None:
        if now - self._since > MEMORY:
            self._before, self._now, self._since = self._now, math.inf, now
