"""A bounded wait in async tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until it holds.

    :raises TimeoutError: it never did.
    """
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 what is waited for is another thread's, and sets no event
            await asyncio.sleep(0.005)
