"""What is made while the last message is being sent: small frames together in one, a large one alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from numpy.typing import NDArray

from rdaq_ophyd.wire import FrameParcel, frame_bytes, messages

AT_ONCE = 1 << 20
"""Bytes of pixels that are copied on the loop itself, in 0.1 ms, which is what a turn of another thread costs; and that
one message has at most, of several frames."""
SMALL = 256 << 10
"""Bytes of a frame that goes with others: a message costs some 200 µs on either side, whatever is in it. To put larger
ones together costs as much."""


class Parcels:
    """Messages between whoever makes them and whoever sends them, both on one loop.

    Small frames are made while a message is being sent. Not so behind a large one: on a slow line its frame would be
    old before its turn comes.

    :param together: small frames may go together in one message; else each is one.
    """

    def __init__(self, *, together: bool) -> None:
        self._together = together
        self._ready: deque[_Parcel] = deque()
        self._last = 0
        self._alone = self._ended = False
        self._news, self._taken = asyncio.Event(), asyncio.Event()

    async def room(self) -> None:
        """Wait until there is room for another frame like the last one, so that none is chosen before its time."""
        while self._alone or (self._ready and not self._fits(self._last)):
            self._taken.clear()
            await self._taken.wait()

    def _fits(self, nbytes: int) -> bool:
        together = self._together and nbytes <= SMALL and len(self._ready) == 1
        return together and self._ready[0].nbytes + nbytes <= AT_ONCE

    async def add(self, header: messages.FrameHeader, pixels: NDArray[Any]) -> None:
        """Make a frame ready; a thread copies what would keep the loop."""
        self._last = pixels.nbytes
        if pixels.nbytes > AT_ONCE:
            self._ready.append(_Parcel(await asyncio.to_thread(frame_bytes, header, pixels), pixels.nbytes))
        elif self._ready and self._fits(pixels.nbytes):
            self._ready[0].add(header, pixels)
        else:
            self._ready.append(_Parcel(frame_bytes(header, pixels), pixels.nbytes))
        self._news.set()

    def end(self) -> None:
        """No more frames come."""
        self._ended = True
        self._news.set()

    async def messages(self) -> AsyncGenerator[bytes]:
        """Each when it is asked for, until the end."""
        while True:
            while not self._ready:
                if self._ended:
                    return
                self._news.clear()
                await self._news.wait()
            parcel = self._ready.popleft()
            message, self._alone = parcel.message(), parcel.nbytes > AT_ONCE
            del parcel
            self._taken.set()
            yield message
            del message
            if self._alone:
                self._alone = False
                self._taken.set()


class _Parcel(FrameParcel):
    """Knows how many bytes of pixels it has."""

    def __init__(self, first: bytes, nbytes: int) -> None:
        super().__init__(first)
        self.nbytes = nbytes

    def add(self, header: messages.FrameHeader, pixels: NDArray[Any]) -> None:
        """Add one behind the others."""
        super().add(header, pixels)
        self.nbytes += pixels.nbytes
