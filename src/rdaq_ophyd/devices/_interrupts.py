"""Stops, counted, so that a motion that was stopped knows it, at whatever moment the stop came."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from rdaq_ophyd.errors import MoveInterrupted

LOOK = 0.005
"""Seconds between two looks whether a stop overtook a motion command that waits for the port."""


@dataclass(eq=False)
class Interrupts:
    """Counts stops. Counting needs no lock and no event loop."""

    count: int = 0
    pardoned: int = -1
    """The count after which a stopped move is to end without an error."""
    _ticks: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self) -> None:
        """Count a stop; from any thread."""
        self.count = next(self._ticks)  # atomic, unlike += 1: no two stops leave the count where it was

    def pardon(self) -> None:
        """What the last stop ended is to end without an error."""
        self.pardoned = self.count

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Tasks made within know the count as it is now, at whatever time they start to run."""
        token = _NOTED.set((self, self.count))
        try:
            yield
        finally:
            _NOTED.reset(token)

    def at_call(self) -> int:
        """The count when the motion was asked for; where that was not noted, the count now."""
        noted = _NOTED.get()
        return noted[1] if noted is not None and noted[0] is self else self.count

    @contextlib.contextmanager
    def excusing(self, before: int) -> Iterator[None]:
        """No ``MoveInterrupted`` leaves a motion that began at count ``before``, where the last stop is pardoned."""
        try:
            yield
        except MoveInterrupted:
            if not before < self.pardoned == self.count:
                raise

    async def unless_stopped(self, doing: Awaitable[Any], before: int, look: float = LOOK) -> bool:
        """Await ``doing`` as long as the count is ``before``; then it is taken back.

        :param look: seconds between two looks at the count, which any thread may change.
        :return: False when a stop came first: what still waited for the port is never sent, and nobody knows what was.
        """
        task = asyncio.ensure_future(doing)
        try:
            while not task.done() and self.count == before:
                await asyncio.wait({task}, timeout=look)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            return False
        task.result()
        return True


_NOTED: ContextVar[tuple[Interrupts, int] | None] = ContextVar(
    "stops counted when a motion was asked for", default=None
)
