"""Bounded waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

BOUND = 20.0
"""Seconds in which anything a driver does has ended, on a busy machine too."""
PAUSE = 0.002
"""Seconds between two looks at a condition."""


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float = BOUND) -> None:
    """Wait in a thread until ``condition()`` holds; the test fails with ``otherwise`` when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{otherwise} (waited {seconds:g} s)")
        threading.Event().wait(PAUSE)


async def until(condition: Callable[[], bool], otherwise: str, seconds: float = BOUND) -> None:
    """The same on an event loop."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{otherwise} (waited {seconds:g} s)")
        await asyncio.sleep(PAUSE)
