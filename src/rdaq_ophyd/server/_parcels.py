"""What is made while the last message is being sent: small frames together in one, a large one alone."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from numpy.typing import NDArray

from rdaq_ophyd.wire import FrameParcel, messages

AT_ONCE = 2 << 20
"""Bytes of pixels that one message has at most, of several: with those of 512² a twentieth quicker than 1 MiB."""
LARGE = 1 << 20
"""Bytes of pixels above which a message is a large one."""
QUICK = 0.02
"""Seconds that the last large message may have taken for the next to be made while one is sent, s: so old is its frame
when its turn comes, unless the line becomes slow in that very moment."""
SMALL = 512 << 10
"""Bytes of a frame that goes with others: a message costs some 100 µs on either side, whatever is in it."""
ON_LOOP = 16 << 20
"""Bytes of a frame that is copied on the loop itself at most, 2 ms; of a larger one in a thread, which costs more: its
turn, and another processor's cache, were a tenth of what a frame of 8 MiB takes the server."""


class Parcels:
    """Messages between whoever makes them and whoever sends them, both on one loop.

    The next message is made while one is being sent. Not so behind a large one on a slow line: its frame would be old
    before its turn comes.

    :param together: small frames may go together in one message; else each is one.
    """

    def __init__(self, *, together: bool) -> None:
        self._together = together
        self._ready: deque[_Parcel] = deque()
        self._spare: list[_Parcel] = []
        self._last = 0
        self._alone = self._ended = False
        self._is_slow = True
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
        """Make a frame ready."""
        self._last = pixels.nbytes
        if self._ready and self._fits(pixels.nbytes):
            self._ready[0].add(header, pixels)
        else:
            parcel = self._spare.pop() if self._spare else _Parcel()
            if pixels.nbytes > ON_LOOP:
                await asyncio.to_thread(parcel.begin, header, pixels)
            else:
                parcel.begin(header, pixels)
            self._ready.append(parcel)
        self._news.set()

    def end(self) -> None:
        """No more frames come."""
        self._ended = True
        self._news.set()

    async def messages(self) -> AsyncGenerator[bytes]:
        """Each when it is asked for, until the end."""
        sent: _Parcel | None = None
        while True:
            while not self._ready:
                if self._ended:
                    return
                self._news.clear()
                await self._news.wait()
            parcel = self._ready.popleft()
            message, is_large = parcel.message(), parcel.nbytes > LARGE
            self._alone = is_large and self._is_slow
            if sent is not None:
                self._spare.append(sent)  # gRPC lets go of its message as it gets this one
            sent = parcel
            self._taken.set()
            began = time.monotonic()
            yield message
            if is_large:
                self._is_slow = time.monotonic() - began > QUICK
            if self._alone:
                self._alone = False
                self._taken.set()


class _Parcel(FrameParcel):
    """Knows how many bytes of pixels it has."""

    nbytes = 0

    def begin(self, header: messages.FrameHeader, pixels: NDArray[Any]) -> None:
        """Begin anew with a frame."""
        super().begin(header, pixels)
        self.nbytes = pixels.nbytes

    def add(self, header: messages.FrameHeader, pixels: NDArray[Any]) -> None:
        """Add one behind the others."""
        super().add(header, pixels)
        self.nbytes += pixels.nbytes
