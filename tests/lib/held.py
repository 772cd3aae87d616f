"""A detector whose readings begin when a test lets them: a plan that reads it is under way until then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ophyd_async.core import AsyncStatus

ALL = 10_000


class Gate:
    """Lets readings pass, each once.

    :param loop: on which the detector is triggered.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._passes, self._over = loop, asyncio.Semaphore(0), False

    def let(self, readings: int = 1) -> None:
        """Let so many more begin."""
        self._loop.call_soon_threadsafe(lambda: [self._passes.release() for _ in range(readings)])

    def open(self) -> None:
        """Let all begin."""
        self.let(ALL)

    def close(self) -> None:
        """What still waits has been given up, and reads nothing."""
        self._over = True
        self.open()

    async def then(self, trigger: Callable[[], AsyncStatus]) -> None:
        """Trigger when it is let."""
        await self._passes.acquire()
        if not self._over:
            await trigger()


@contextmanager
def held(session: Any, name: str) -> Iterator[Gate]:
    """Hold a device's readings until they are let."""
    device, gate = session.rig[name], Gate(session.RE.loop)
    trigger = device.trigger
    # Past ophyd-async's own, which keeps the names of bluesky's protocols from being given to something else.
    object.__setattr__(device, "trigger", lambda: AsyncStatus(gate.then(trigger)))
    try:
        yield gate
    finally:
        del device.__dict__["trigger"]
        gate.close()
