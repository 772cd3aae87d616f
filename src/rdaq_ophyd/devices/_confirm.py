"""How a stop is confirmed: the instrument is asked, ahead of all that waits, until it stands still."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from rdaq_ophyd.errors import BadReply, LinkError, MoveTimeout, ReplyTimeout, StopUnconfirmed

POLL = 0.02
"""Seconds between two questions whether the motion is done: about two exchanges at 19200 baud."""
PATIENCE = 3.0
"""Seconds more for a mute instrument: the exchange in flight, its late reply, and the last question each time out."""


async def until_still(
    is_still: Callable[[], Awaitable[bool]], seconds: float, name: str, *, agree: int = 1, poll: float = POLL
) -> None:
    """Ask until the instrument says that it stands still.

    :param agree: times in a row that it must say so.
    :raises MoveTimeout: it still moves after ``seconds``.
    :raises ReplyTimeout: it has not answered until then.
    """
    deadline, agreed = time.monotonic() + seconds, 0
    while True:
        try:
            agreed = agreed + 1 if await is_still() else 0
        except (ReplyTimeout, BadReply):
            agreed = 0
            if time.monotonic() > deadline:
                raise
        if agreed >= agree:
            return
        if time.monotonic() > deadline:
            raise MoveTimeout(f"{name}: still moving {seconds:.1f} s after it was told to stop")
        await asyncio.sleep(poll)


@contextlib.asynccontextmanager
async def confirming(name: str, seconds: float, hint: str) -> AsyncIterator[None]:
    """Confirm a stop within; a second bound ends that also where no question finds its turn.

    :param seconds: that standing still may take.
    :raises StopUnconfirmed: it could not be confirmed.
    """
    try:
        async with asyncio.timeout(seconds + PATIENCE):
            yield
    except (MoveTimeout, LinkError, TimeoutError) as error:
        raise StopUnconfirmed(
            f"{name}: stop was sent, but not confirmed: {str(error) or 'no turn to ask for it'}", hint=hint
        ) from error


async def stop_each(stops: Iterable[Awaitable[None]]) -> None:
    """Await all of them, whatever becomes of each.

    :raises StopUnconfirmed: the first that was; the others are notes.
    """
    results = await asyncio.gather(*stops, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors[1:]:
        errors[0].add_note(f"and {error}")
    if errors:
        raise errors[0]
