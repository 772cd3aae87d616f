"""Frames for clients: the newest one for each credit, made into a message once for all who want the same."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError, UnknownName
from rdaq_ophyd.frames import Camera, FrameTap
from rdaq_ophyd.startup import Session
from rdaq_ophyd.wire import frame_bytes, messages

from ._previews import Previews

SCALES = (1, 2, 4)
MOST_CREDITS = 64
"""Frames that one client may have coming; more would only be old when they are drawn."""
AT_ONCE = 1 << 20
"""Bytes of a message that is made on the loop itself, in 0.1 ms, which is what a turn of another thread costs."""


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
        with self.camera(first.camera).tap(who) as tap:
            reader = asyncio.create_task(granted.read(requests))
            reader.add_done_callback(lambda _: tap.close() if granted.refused else None)
            try:
                async for message in overlapped(self._sent(tap, granted, reader, first)):
                    yield message
            finally:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reader

    async def _sent(
        self, tap: FrameTap, granted: _Credits, reader: asyncio.Task[None], first: messages.FrameCredit
    ) -> AsyncGenerator[bytes]:
        while not tap.closed and await granted.one(reader):
            ref = await tap.next()
            if ref is None:
                break  # the camera was closed, or a grant refused
            with ref:
                counts = tap.counts
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
                )
                message = await _bytes(header, pixels)
                del pixels
            yield message
        if granted.refused:
            raise granted.refused


async def overlapped(made: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    """The next message is made while a small one is being sent, where there is a credit for it.

    Not behind a large one: on a slow line its frame would be old before its turn comes.
    """
    message = await anext(made, None)
    while message is not None:
        if len(message) > AT_ONCE:
            yield message
            message = await anext(made, None)
            continue
        coming = asyncio.ensure_future(anext(made, None))
        try:
            yield message
            message = await coming
        except BaseException:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            raise


async def _bytes(header: messages.FrameHeader, pixels: NDArray[Any]) -> bytes:
    """The message; a thread copies what would keep the loop."""
    if pixels.nbytes <= AT_ONCE:
        return frame_bytes(header, pixels)
    return await asyncio.to_thread(frame_bytes, header, pixels)


class _Credits:
    """What a client has granted and was not sent yet."""

    def __init__(self) -> None:
        self._left = 0
        self.refused: LimitError | None = None
        self._more = asyncio.Event()

    def add(self, number: int) -> None:
        self._left += number
        if self._left > MOST_CREDITS:
            raise LimitError(f"{self._left} frames granted at once", hint=f"at most {MOST_CREDITS}; grant as you draw")
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

    async def one(self, reader: asyncio.Task[None]) -> bool:
        """Use one up, waiting for it; False when no more will come."""
        while not self._left:
            if reader.done():
                return False
            self._more.clear()
            await self._more.wait()
        self._left -= 1
        return True
