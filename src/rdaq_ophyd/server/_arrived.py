"""Stops that have arrived: each goes out, whatever becomes of the call that brought it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class Sender:
    """What a stop asks of its call. gRPC's own context may not be asked for it when the call is over: that crashes."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def peer(self) -> str:
        """Where the client is."""
        return self._peer


class Arrived:
    """For one event loop.

    gRPC cancels the task of a call whose client goes or whose deadline passes. A task that is cancelled while it waits
    never learns what it waited for, even when that is there already.
    """

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def see_through[T](self, what: Coroutine[Any, Any, T]) -> T:
        """Do it to its end; whoever waits for that may be cancelled.

        :param what: its first step is made at once, within the call.
        """
        if self._closed:
            return await what
        task = asyncio.Task(what, loop=asyncio.get_running_loop(), eager_start=True)
        self._under_way.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_tell)
            raise
        finally:
            task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Let what is under way go. For when no call can arrive any more, and each has had its time."""
        self._closed = True
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _tell(task: asyncio.Task[Any]) -> None:
    """Its client is gone: what went wrong is told in the log alone."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a stop of a client that is gone: %s", error, exc_info=error)
