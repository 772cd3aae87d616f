"""Stops by clients: each acts at once; how often devices are asked what came of it does not depend on how many ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from rdaq_ophyd.stop import Halted, StopReport, halt_all

from ._bucket import Bucket

AT_A_TIME = 3
"""Confirmations under way; a mute instrument makes one last seconds, and the next must not wait for it."""
BURST, RATE = 6, 1.0
"""Confirmations at once, and a second afterwards: each asks every instrument, and is a line of the latch's log."""


class Stops:
    """For one event loop. Its threads are used by nothing else, so that no stop waits behind other work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_A_TIME + 2, "remote-stops")
        self._few = asyncio.Semaphore(AT_A_TIME)
        self._bucket = Bucket(BURST, time.monotonic())
        self._latest: Halted | None = None
        self._next: asyncio.Task[StopReport] | None = None

    async def stop(self, reason: str, by: str) -> StopReport:
        """Stop everything. The halts are written in this very thread, before anything is waited for.

        Those that come before the next confirmation has begun share it.
        """
        halted = self._latest = halt_all(reason, by=by)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._confirmed())
        report = await asyncio.shield(self._next)  # of the others, too
        return replace(report, reason=halted.reason, by=halted.by, at=halted.at)

    async def apart[T](self, call: Callable[[], T]) -> T:
        """Do something else that belongs to stops, in their threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """End it, without waiting for what is under way."""
        self._threads.shutdown(wait=False)

    async def _confirmed(self) -> StopReport:
        await asyncio.sleep(self._bucket.owe(time.monotonic(), RATE, BURST))
        async with self._few:
            halted, self._latest, self._next = self._latest, None, None
            assert halted is not None  # what began this set it, and only this takes it away
            return await self.apart(halted.confirm)
