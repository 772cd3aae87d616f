"""The exchanges that wait for a port: three lanes, each bounded, emptied by one owner thread."""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue

from rdaq_ophyd.errors import LinkClosed, QueueFull

from ._lane import Lane
from ._transaction import Transaction


class LaneQueue:
    """Exchanges by priority. Any thread puts, one thread gets.

    :param owner: the URL of the link, for error messages.
    :param bound: how many exchanges may wait in each lane.
    """

    def __init__(self, owner: str, bound: int) -> None:
        self._owner = owner
        self._bound = bound
        self._lanes: tuple[deque[Transaction], ...] = tuple(deque() for _ in Lane)
        self._lock = threading.Lock()
        self._closed = False
        self.coalesced = 0
        # One token an exchange: a SimpleQueue wakes its reader in C, faster than a Condition does.
        self._tokens: SimpleQueue[None] = SimpleQueue()

    def put(self, transaction: Transaction) -> None:
        """Queue an exchange.

        :raises QueueFull: its lane already holds ``bound`` exchanges that nobody cancelled.
        :raises LinkClosed: the queue was closed.
        """
        lane = self._lanes[transaction.lane]
        with self._lock:
            if self._closed:
                raise LinkClosed(f"{self._owner}: the link is closed", hint="connect the device again")
            if len(lane) >= self._bound:
                self._drop_cancelled(lane)
            if len(lane) >= self._bound:
                raise QueueFull(
                    f"{self._owner}: {len(lane)} exchanges already wait in lane {transaction.lane.name}",
                    hint="read less often, or wait for replies before asking again",
                )
            lane.append(transaction)
        self._tokens.put(None)

    def get(self, timeout: float | None = None) -> Transaction | None:
        """Wait for the next exchange; None once the queue is closed.

        :raises queue.Empty: there was none within ``timeout`` seconds.
        """
        while True:
            self._tokens.get(timeout=timeout)
            with self._lock:
                if self._closed:
                    return None
                # A token may be left over from an exchange that was dropped or taken out of turn.
                for lane in self._lanes:
                    if lane:
                        return lane.popleft()

    def take_urgent_without_reply(self) -> Transaction | None:
        """Take an urgent exchange that expects no reply, if one waits: it can go while the reader is out of step."""
        lane = self._lanes[Lane.URGENT]
        with self._lock:
            if lane and lane[0].framing is None:
                return lane.popleft()
        return None

    def close(self) -> list[Transaction]:
        """Refuse what comes, wake the reader, and hand back what still waited."""
        with self._lock:
            self._closed = True
            left = [transaction for lane in self._lanes for transaction in lane]
            for lane in self._lanes:
                lane.clear()
        self._tokens.put(None)
        return left

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    @staticmethod
    def _drop_cancelled(lane: deque[Transaction]) -> None:
        kept = [transaction for transaction in lane if not transaction.future.cancelled()]
        lane.clear()
        lane.extend(kept)
