"""Messages that are read while the reader does something else, on an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable

from rdaq_ophyd.client._window import Window


class AsyncAhead:
    """Reads a stream of messages in a task of its own, as many ahead as a window grants; an async context manager.

    :param messages: the stream.
    :param window: how many.
    :param grant: tells the other side that it may send so many more.
    """

    def __init__(
        self, messages: AsyncIterable[bytes], window: Window, grant: Callable[[int], Awaitable[object]]
    ) -> None:
        self._messages, self._window, self._grant = messages, window, grant
        self._come: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def _read(self) -> None:
        try:
            async for message in self._messages:
                self._window.arrived(len(message), time.monotonic())
                self._come.put_nowait(message)
        finally:
            self._come.put_nowait(None)

    async def __aenter__(self) -> AsyncAhead:
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # it was raised where the messages are taken, or nobody takes them any more

    async def next(self) -> bytes | None:
        """The next message, and a grant for one more; None at the end.

        :raises grpc.RpcError: the stream broke off.
        """
        began = time.monotonic()
        if (message := await self._come.get()) is None:
            self._come.put_nowait(None)
            await self._task
            return None
        now = time.monotonic()
        self._window.taken(now - began, now)
        if number := self._window.grant(now):
            await self._grant(number)
        return message
