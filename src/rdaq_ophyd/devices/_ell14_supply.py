"""The supply of a bus: it feeds few motors at once, so that rotators take turns."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import ClassVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from ophyd_async.core import Device

from rdaq_ophyd.errors import LimitError, MoveTimeout, QueueFull, WrongInstrument
from rdaq_ophyd.link import Link

MOVERS = 2
"""Motors that one supply feeds at once (ELLB bus distributor, ELL14 data sheet)."""
WAITING = 32
"""Moves that may wait for their turn."""
POLL = 0.005
"""Seconds between two looks whether it is one's turn."""


class Supply:
    """Who turns on one bus, and who waits for that, in the order in which they came.

    :ivar movers: how many may turn at once.
    """

    _supplies: ClassVar[WeakKeyDictionary[Link, Supply]] = WeakKeyDictionary()

    def __init__(self, movers: int = MOVERS) -> None:
        self.movers = movers
        self._waiting: deque[object] = deque()
        # Until when, by the monotonic clock, each may still be turning.
        self._turning: dict[str, float] = {}
        self._devices: WeakValueDictionary[str, Device] = WeakValueDictionary()

    @classmethod
    def of(cls, link: Link) -> Supply:
        """The one of the devices on ``link``."""
        return cls._supplies.setdefault(link, cls())

    @property
    def turning(self) -> list[str]:
        """Names of those that turn, as far as is known."""
        now = time.monotonic()
        return [name for name, until in list(self._turning.items()) if until > now]

    @asynccontextmanager
    async def turn(self, names: Collection[str], seconds: float, look: Callable[[], None]) -> AsyncIterator[None]:
        """Wait until all of ``names`` may turn together, and let them. When they fail, say so by ``linger``.

        :param seconds: to wait at most.
        :param look: called again and again; raises when nobody wants that any more.
        :raises LimitError: they are more than the supply feeds.
        :raises QueueFull: too many wait already.
        :raises MoveTimeout: it was not their turn in time.
        """
        if len(names) > self.movers:
            raise LimitError(
                f"{', '.join(names)}: {len(names)} at once, but the supply feeds {self.movers}",
                hint="move fewer together, or give Ell14Bus(..., movers=) what your supply feeds",
            )
        if len(self._waiting) >= WAITING:
            raise QueueFull(f"{', '.join(names)}: {WAITING} moves wait for their turn already")
        ticket, deadline = object(), time.monotonic() + seconds
        self._waiting.append(ticket)
        try:
            while self._waiting[0] is not ticket or self._free(names) < len(names):
                look()
                if time.monotonic() > deadline:
                    others = ", ".join(self.turning)
                    raise MoveTimeout(
                        f"{', '.join(names)}: waited {seconds:.1f} s for {others} to end; nothing was sent",
                        hint="does one of them jog without an end? stop it",
                    )
                await asyncio.sleep(POLL)
            self._turning |= dict.fromkeys(names, math.inf)
        finally:
            self._waiting.remove(ticket)
        yield
        self.release(*names)

    def claim(self, address: str, device: Device) -> None:
        """From now on ``device`` is the one that talks to ``address``.

        :raises WrongInstrument: another one does, which would take the first one's moves and errors for its own.
        """
        other = self._devices.get(address)
        if other is not None and other is not device:
            raise WrongInstrument(
                f"{device.name}: address {address} is in use by {other.name or 'another device'} of this session",
                hint="make one device of each mount, or close the other first",
            )
        self._devices[address] = device

    def unclaim(self, device: Device) -> None:
        """It is closed, or has another address."""
        for address in [address for address, known in self._devices.items() if known is device]:
            del self._devices[address]

    def _free(self, names: Collection[str]) -> int:
        return self.movers - len(set(self.turning) - set(names))

    def release(self, *names: str) -> None:
        """They stand still."""
        for name in names:
            self._turning.pop(name, None)

    def linger(self, *names: str, seconds: float) -> None:
        """Nobody waits for their end any more; after that time they stand still."""
        until = time.monotonic() + seconds
        self._turning |= {name: until for name in names if name in self._turning}

    def hold(self, name: str) -> None:
        """It turns, and nobody waits for its end."""
        self._turning[name] = math.inf
