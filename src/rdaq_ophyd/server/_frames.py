"""Frames for clients: the newest one for each credit, made into a message once for all who want the same."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator

from rdaq_ophyd.errors import LimitError, UnknownName
from rdaq_ophyd.frames import Camera, FrameRef, FrameTap, TapCounts
from rdaq_ophyd.startup import Session
from rdaq_ophyd.wire import messages

from ._parcels import Parcels
from ._previews import Previews

SCALES = (1, 2, 4)
MOST_CREDITS = 256
"""Frames that one client may have coming: 1600/s over a line of 20 ms and two busy processors held 64 of 512²."""


class Frames:
    """The rig's cameras, for callers on the server's loop."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._previews = Previews()

    def camera(self, name: str) -> Camera:
        """The camera of that name.

        :raises UnknownName: there is no such device, or it is no camera.
        """
        device = self._session.rig[name]
        if not isinstance(device, Camera):
            cameras = [n for n, d in self._session.rig.devices.items() if isinstance(d, Camera)]
            raise UnknownName(f"{name} is no camera", hint=f"cameras: {', '.join(cameras) or 'none'}")
        return device

    async def stream(self, requests: AsyncIterator[messages.FrameCredit], who: str) -> AsyncIterator[bytes]:
        """Messages for as long as the client listens."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        if first.scale not in SCALES:
            raise LimitError(f"scale = {first.scale}", hint=f"one of {', '.join(map(str, SCALES))}")
        granted = _Credits()
        granted.add(first.credits)
        parcels = Parcels(together=first.together)
        with self.camera(first.camera).tap(who) as tap:
            reader = asyncio.create_task(granted.read(requests))
            reader.add_done_callback(lambda _: tap.close() if granted.refused else None)
            maker = asyncio.create_task(self._make(tap, granted, reader, first, parcels))
            try:
                async for message in parcels.messages():
                    yield message
                await maker  # what it ended with
            finally:
                maker.cancel()
                reader.cancel()
                await asyncio.gather(maker, return_exceptions=True)  # it was raised, or the caller has gone
                with contextlib.suppress(asyncio.CancelledError):
                    await reader

    async def _make(
        self,
        tap: FrameTap,
        granted: _Credits,
        reader: asyncio.Task[None],
        first: messages.FrameCredit,
        parcels: Parcels,
    ) -> None:
        """A frame for each credit, the newest one when there is room for it."""
        try:
            while not tap.closed:
                await parcels.room()
                since = await granted.one(reader)
                if since is None or (ref := await tap.next()) is None:
                    break  # no more are granted, the camera was closed, or a grant refused
                with ref:
                    await self._add(parcels, first, ref, tap.counts, time.monotonic() - since)
        finally:
            parcels.end()
        if granted.refused:
            raise granted.refused

    async def _add(
        self, parcels: Parcels, first: messages.FrameCredit, ref: FrameRef, counts: TapCounts, waited: float
    ) -> None:
        pixels = ref.array if first.scale == 1 else await self._previews.of(first.camera, ref, first.scale)
        header = messages.FrameHeader(
            sequence=ref.sequence,
            host_time=ref.host_time,
            hardware_time=ref.hardware_time,
            width=pixels.shape[1],
            height=pixels.shape[0],
            dtype=pixels.dtype.newbyteorder("<").str,
            scale=first.scale,
            offered=counts.offered,
            skipped=counts.skipped,
            age=time.time() - ref.host_time,
            waited=waited,
        )
        await parcels.add(header, pixels)


class _Credits:
    """What a client has granted and was not sent yet."""

    def __init__(self) -> None:
        self._left: deque[float] = deque()  # when each came
        self.refused: LimitError | None = None
        self._more = asyncio.Event()

    def add(self, number: int) -> None:
        if (left := len(self._left) + number) > MOST_CREDITS:
            raise LimitError(f"{left} frames granted at once", hint=f"at most {MOST_CREDITS}; grant as you draw")
        self._left.extend([time.monotonic()] * number)
        self._more.set()

    async def read(self, requests: AsyncIterator[messages.FrameCredit]) -> None:
        """Add what comes, until the client grants no more."""
        try:
            async for request in requests:
                self.add(request.credits)
        except LimitError as error:
            self.refused = error
        finally:
            self._more.set()

    async def one(self, reader: asyncio.Task[None]) -> float | None:
        """Use one up, waiting for it; None when no more will come.

        Returns since when it lies here, by the monotonic clock: one that was waited for, since now.
        """
        lacked = not self._left
        while not self._left:
            if reader.done():
                return None
            self._more.clear()
            await self._more.wait()
        came = self._left.popleft()
        return time.monotonic() if lacked else came
