"""How long a device is waited for that does not answer, or does not end: one of others may hang for good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from rdaq_ophyd.errors import ReplyTimeout
from rdaq_ophyd.startup import STOP_BOUND
from rdaq_ophyd.stop import latch

logger = logging.getLogger(__name__)
ANSWER = 30.0
"""Seconds for a device to tell what it is asked; a controller on a slow line tells a hundred signals in less."""
SLACK = 5.0
"""Seconds beyond the bound of a ``stop``, and for a move to end when everything was stopped since it began."""
LOOKS = 0.25
"""Seconds between two looks whether it was."""


async def answered[T](name: str, asked: Awaitable[T]) -> T:
    """What a device answers.

    :raises ReplyTimeout: it does not within 30 s, or the event loop of the devices does nothing meanwhile.
    """
    bound = asyncio.timeout(ANSWER)
    try:
        async with bound:
            return await asked
    except TimeoutError as error:
        if not bound.expired():
            raise  # the device's own
        raise ReplyTimeout(
            f"{name} did not answer within {ANSWER:g} s",
            hint="it hangs, or a plan keeps the event loop of the devices busy: is its instrument on? see the log",
        ) from error


async def over(name: str, move: asyncio.Future[Any], trips: int) -> None:
    """Wait for the end of a move that was told to stop; one that does not end is left behind, with an error in the log.

    :param trips: of the latch when it began. After a stop-all, which has stopped the device too, it is waited for less.
    """
    here = asyncio.get_running_loop()
    end = here.time() + STOP_BOUND + SLACK
    while not move.done() and (left := end - here.time()) > 0:
        if latch.trips != trips:
            trips, end = latch.trips, min(end, here.time() + SLACK)
        await asyncio.wait([move], timeout=min(left, LOOKS))
    if not move.done():
        logger.error("%s: the move does not end although it was told to stop: left behind; look at it", name)
