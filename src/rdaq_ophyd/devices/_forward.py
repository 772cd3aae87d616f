"""A status that goes on where that of another device ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from ophyd_async.core import WatchableAsyncStatus, WatcherUpdate


def forward(
    inner: Any,
    name: str,
    *,
    mapped: Callable[[WatcherUpdate[Any]], WatcherUpdate[Any]] = lambda update: update,
    ended: Callable[[Awaitable[Any]], Awaitable[None]],
) -> WatchableAsyncStatus[Any]:
    """The status of something that began already, with its progress; cancelled together with it.

    :param inner: the status of what began: one of ophyd-async's, which can be awaited.
    :param name: of the device that it is now the status of.
    :param mapped: what watchers are told, from what ``inner`` tells.
    :param ended: awaits what it is given, then does what remains to be done.
    """
    status: WatchableAsyncStatus[Any] = WatchableAsyncStatus(_updates(inner, mapped, ended), name)
    # Also where the cancellation comes before the first step of the task.
    status.task.add_done_callback(lambda task: inner.task.cancel() if task.cancelled() else None)
    return status


async def _updates(
    inner: Any,
    mapped: Callable[[WatcherUpdate[Any]], WatcherUpdate[Any]],
    ended: Callable[[Awaitable[Any]], Awaitable[None]],
) -> AsyncIterator[WatcherUpdate[Any]]:
    said: asyncio.Queue[WatcherUpdate[Any] | None] = asyncio.Queue()
    if isinstance(inner, WatchableAsyncStatus):

        def tell(*_: Any, **update: Any) -> None:
            said.put_nowait(WatcherUpdate(**update))

        inner.watch(tell)
    inner.add_callback(lambda _: said.put_nowait(None))
    try:
        while (update := await said.get()) is not None:
            yield mapped(update)
        await ended(inner)
    except asyncio.CancelledError:
        if not inner.done:
            inner.task.cancel()
            await asyncio.wait({inner.task})
        raise
