"""When a frame reached the host, where it waited in the camera's buffers until it was taken out."""

from __future__ import annotations

import math
import time

DRIFT = 2e-4
"""How much slower than the host's a camera's clock may run: twice the 100 ppm of the quartzes that cameras have."""


class CameraClock:
    """A camera's own clock against the host's.

    A frame is never taken out of a buffer before it arrived, and often later. So the smallest difference between the
    host's time and the camera's time stamps is nearest to the truth; what a frame has more than that, it waited. The
    smallest difference grows by ``DRIFT``, as a slow clock can make it grow, however long a stall; and a frame that
    came after the buffers were seen empty did not arrive before that, whatever the camera's clock says.

    The estimate is never later than the moment of retrieval. It is that moment where the camera tells no time, for the
    first frame, and for one whose time stamp lies before the last one's (a counter that wraps). Time stamps may be of
    the start or the end of an exposure: what is between stays the same. For the thread that takes the frames.

    :param tick: of the camera's time stamps, s.
    """

    def __init__(self, tick: float = 1e-9) -> None:
        self._tick = tick
        self.begin()

    def begin(self) -> None:
        """Forget what was: the camera is armed anew."""
        self._last = math.inf
        self._offset = 0.0
        self._empty = -math.inf

    def empty(self, since: float) -> None:
        """No frame was there to be taken at ``since``, s of ``time.monotonic``: the next ones arrive later."""
        self._empty = since

    def waited(self, ticks: int, now: float) -> float:
        """How long a frame waited that was taken out at ``now`` (s of ``time.monotonic``), s.

        :param ticks: the camera's time stamp of it; 0 if it has none.
        """
        if ticks <= 0:
            return 0.0
        stamp = ticks * self._tick
        offset = now - stamp
        if stamp > self._last:
            offset = min(offset, self._offset + DRIFT * (stamp - self._last))
        offset = max(offset, self._empty - stamp)
        self._last, self._offset = stamp, offset
        return max(0.0, now - stamp - offset)

    def arrival(self, ticks: int) -> float:
        """When a frame reached the host that was taken out just now, seconds since the epoch."""
        return time.time() - self.waited(ticks, time.monotonic())
