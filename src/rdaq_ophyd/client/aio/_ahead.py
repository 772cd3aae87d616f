"""Frames that are read while the reader does something else, on an event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable

from rdaq_ophyd.client._ahead import Split
from rdaq_ophyd.client._frames import Come
from rdaq_ophyd.client._window import Window


class AsyncAhead:
    """Reads a stream of messages in a task of its own, as many frames ahead as a window grants.

    An async context manager.

    :param messages: the stream.
    :param window: how many frames.
    :param grant: tells the other side that it may send so many more.
    :param split: a message into its frames.
    """

    def __init__(
        self, messages: AsyncIterable[bytes], window: Window, grant: Callable[[int], Awaitable[object]], split: Split
    ) -> None:
        self._messages, self._window, self._grant, self._split = messages, window, grant, split
        self._come: asyncio.Queue[deque[Come] | None] = asyncio.Queue()
        self._taking: deque[Come] = deque()

    async def _read(self) -> None:
        try:
            async for message in self._messages:
                self._came(message)
                del message  # its memory is free for the next one as soon as whoever takes its frames is done
        finally:
            self._come.put_nowait(None)

    def _came(self, message: bytes) -> None:
        frames, now = self._split(message), time.monotonic()
        for frame in frames:
            self._window.arrived(frame.array.nbytes, now, frame.header.waited)
        self._come.put_nowait(deque(frames))

    async def __aenter__(self) -> AsyncAhead:
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # it was raised where the messages are taken, or nobody takes them any more

    async def next(self) -> Come | None:
        """The next frame, and a grant for one more; None at the end. For one reader, not for several.

        :raises grpc.RpcError: the stream broke off.
        """
        began = time.monotonic()
        while not self._taking:
            if (come := await self._come.get()) is None:
                self._come.put_nowait(None)
                await self._task
                return None
            self._taking = come
        frame, now = self._taking.popleft(), time.monotonic()
        self._window.taken(now - began, now, is_last=not self._taking)
        if number := self._window.grant(now):
            await self._grant(number)
        return frame
