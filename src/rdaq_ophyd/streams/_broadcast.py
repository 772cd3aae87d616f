"""One ring for many readers: to publish costs the same for one of them and for a hundred."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

from ._bell import Bell

type _Slot[Item] = tuple[int, int, int, Item]  # its number, the weight published before it and with it, and itself


class RingCounts(NamedTuple):
    """What became of what was published since a reader came; ``published == delivered + dropped + pending``."""

    published: int
    delivered: int
    dropped: int
    pending: int


class BroadcastRing[Item]:
    """The last items that were published, for any number of readers in whichever threads and event loops.

    Each reader has a place of its own in the ring, and nothing else: the publisher knows none of them, waits for none
    and takes no lock. One that is more than a ring behind has lost the oldest items, and knows how many. Who sleeps is
    woken through the event loop: all of a loop at once, and not again before one of them has slept again.

    Items have a weight, such as the number of samples in them, in which is counted.

    :param room: items in memory, rounded up to a power of two.
    :raises ValueError: ``room`` is below 1.
    """

    def __init__(self, room: int) -> None:
        if room < 1:
            raise ValueError(f"room={room}, but a ring has room for at least 1 item")
        self.size = 1 << (room - 1).bit_length()
        self._slots: list[_Slot[Item] | None] = [None] * self.size
        self._mask = self.size - 1
        self._last: _Slot[Item] = (-1, 0, 0, cast(Item, None))
        self._sleeping = self._closed = False
        self._bells: dict[asyncio.AbstractEventLoop, Bell] = {}

    @property
    def closed(self) -> bool:
        """Whether nothing will be published any more."""
        return self._closed

    def publish(self, item: Item, weight: int = 1) -> None:
        """Put an item over the oldest one. Never waits; from any thread, from one at a time."""
        number, _, before, _ = self._last
        number += 1
        # First into its place, then it is the newest: as one, so that nobody sees half of it.
        self._slots[number & self._mask] = self._last = (number, before, before + weight, item)
        if self._sleeping:
            self._wake()

    def reader(self) -> RingReader[Item]:
        """A reader of what is published from now on."""
        return RingReader(self)

    def close(self) -> None:
        """Publish no more: readers take what is left, and come to an end. Idempotent."""
        self._closed = True
        for bell in tuple(self._bells.values()):
            bell.ring()

    def _wake(self) -> None:
        self._sleeping = False
        for loop, bell in tuple(self._bells.items()):
            if bell.armed and not bell.ring():
                del self._bells[loop]

    def _sleeper(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        bell = self._bells.get(loop)
        if bell is None:
            bell = self._bells[loop] = Bell(loop, self._newest, self._on_armed)
        return bell.sleeper()

    def _newest(self) -> int:
        return self._last[0]

    def _on_armed(self) -> None:
        self._sleeping = True

    def _oldest(self, number: int) -> tuple[int, int, int]:
        """The first item from ``number`` on that is still there, the weight before it and that of all so far.

        Where there is none: the next item to come.
        """
        newest, _, total, _ = self._last
        following = newest + 1
        number = max(number, following - self.size)
        while number < following:
            slot = self._slots[number & self._mask]
            if slot is not None and slot[0] == number:
                return number, slot[1], total
            number = max(number + 1, self._last[0] + 1 - self.size)  # written over just now
        return following, total, total


class RingReader[Item]:
    """Somebody's place in a ring. To be used in one thread; :attr:`counts` from any."""

    def __init__(self, ring: BroadcastRing[Item]) -> None:
        self._ring = ring
        newest, _, self._began, _ = ring._last
        # Number of the next item, the weight before it, and what of that was lost: replaced as one.
        self._place = (newest + 1, self._began, 0)

    @property
    def counts(self) -> RingCounts:
        """What became of everything; what was written over counts as dropped at once, also before the next look."""
        number, place, dropped = self._place
        _, oldest, total = self._ring._oldest(number)
        delivered = place - self._began - dropped
        return RingCounts(total - self._began, delivered, dropped + oldest - place, total - oldest)

    @property
    def dropped(self) -> int:
        """What was lost before the items that were taken last."""
        return self._place[2]

    def take(self, most: int | None = None) -> list[Item]:
        """The oldest items that are there and were not taken, in order; empty when there are none.

        :param most: items.
        """
        ring = self._ring
        number, place, dropped = self._place
        while (following := ring._last[0] + 1) != number:
            first = max(number, following - ring.size)
            slots = self._copied(first, following if most is None else min(following, first + most))
            if slots:
                (_, before, _, _), (last, _, after, _) = slots[0], slots[-1]
                self._place = (last + 1, after, dropped + before - place)
                return [slot[3] for slot in slots]
        return []

    def _copied(self, first: int, end: int) -> list[_Slot[Item]]:
        """The slots of these items, less those that were written over while they were copied, and what was before."""
        ring = self._ring
        begin, stop = first & ring._mask, end & ring._mask
        slots = ring._slots[begin:stop] if begin < stop else ring._slots[begin:] + ring._slots[:stop]
        doubtful = ring._last[0] + 2 - ring.size - first  # of the last of these nobody knows whether it was already
        good = 0
        for index in range(min(len(slots), doubtful)):
            slot = slots[index]
            if slot is None or slot[0] != first + index:
                good = index + 1
        return slots[good:]  # type: ignore[return-value]  # none of these is empty

    async def wait(self) -> bool:
        """Sleep until there is something to take; False when nothing will come any more."""
        ring, newest = self._ring, self._place[0] - 1
        while newest == ring._last[0]:
            if ring.closed:
                return False
            sleeper = ring._sleeper()
            if newest == ring._last[0] and not ring.closed:  # it may have come before anybody knew of the sleeper
                await sleeper
        return True
