"""Credits of a call over the WebSocket: the server makes no more answers than the client has room for."""

from __future__ import annotations

import asyncio
from typing import Any

from rdaq_ophyd.errors import LimitError

MOST_CREDITS = 64
"""Answers that one call may have coming."""


def credits_in(said: dict[str, Any]) -> int | None:
    """What a message grants: ``"credits": 8``; None where it says nothing of them.

    :raises LimitError: that is no number of answers.
    """
    if "credits" not in said:
        return None
    number = said["credits"]
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MOST_CREDITS:
        raise LimitError(f"credits = {str(number)[:40]}", hint=f"a whole number, 0 to {MOST_CREDITS}")
    return number


class Credits:
    """What a client has granted and was not sent yet.

    :param number: granted with the call itself.
    """

    def __init__(self, number: int) -> None:
        self._left = number
        self._more = asyncio.Event()

    def grant(self, number: int) -> None:
        """Add some.

        :raises LimitError: these would be more than :data:`MOST_CREDITS`; none is added.
        """
        if self._left + number > MOST_CREDITS:
            what = f"{self._left + number} answers granted at once"
            raise LimitError(what, hint=f"at most {MOST_CREDITS}; grant as you use them")
        self._left += number
        self._more.set()

    async def one(self) -> None:
        """Use one up, waiting for it."""
        while not self._left:
            self._more.clear()
            await self._more.wait()
        self._left -= 1
