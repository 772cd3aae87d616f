"""One lane of a link's queue: the devices that share the link take turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ._transaction import Transaction


class Turns:
    """Exchanges of one priority: first come first served for each device, and the devices one after another.

    An exchange waits for at most one exchange of each other device, however many those have queued.
    Whoever calls holds the queue's lock.
    """

    def __init__(self) -> None:
        # In the order of their turns. A device without exchanges has no entry, so the first one is always next.
        self._waiting: dict[object, deque[Transaction]] = {}
        self._count = 0

    def append(self, transaction: Transaction) -> None:
        """Let it wait behind those of its own device; a device that had none comes after the others."""
        mine = self._waiting.get(transaction.who)
        if mine is None:
            self._waiting[transaction.who] = deque((transaction,))
        else:
            mine.append(transaction)
        self._count += 1

    def popleft(self) -> Transaction:
        """Take the one whose turn it is. One that was cancelled costs its device no turn."""
        return self._take(next(iter(self._waiting)))

    def pop_without_reply(self) -> Transaction | None:
        """Take one that expects no reply, of those that are the next of their device."""
        for who, mine in self._waiting.items():
            if mine[0].framing is None:
                return self._take(who)
        return None

    def _take(self, who: object) -> Transaction:
        mine = self._waiting.pop(who)
        transaction = mine.popleft()
        self._count -= 1
        if mine and transaction.cancelled:
            self._waiting = {who: mine} | self._waiting
        elif mine:
            self._waiting[who] = mine  # behind the others
        return transaction

    def drop_cancelled(self) -> list[Transaction]:
        """Take out what nobody waits for any more."""
        dropped: list[Transaction] = []
        for who, mine in list(self._waiting.items()):
            kept: deque[Transaction] = deque()
            for transaction in mine:
                # Asked once: it may be cancelled at this very moment.
                (dropped if transaction.cancelled else kept).append(transaction)
            if kept:
                self._waiting[who] = kept
            else:
                del self._waiting[who]
        self._count -= len(dropped)
        return dropped

    def fullest(self) -> tuple[object, int]:
        """Which device has the most exchanges waiting, and how many."""
        who, mine = max(self._waiting.items(), key=lambda item: len(item[1]))
        return who, len(mine)

    def __iter__(self) -> Iterator[Transaction]:
        return (transaction for mine in self._waiting.values() for transaction in mine)

    def __len__(self) -> int:
        return self._count
