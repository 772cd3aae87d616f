"""The exchanges that wait for a port: three lanes, each bounded, emptied by one owner thread."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from rdaq_ophyd.errors import LinkClosed, QueueFull

from ._lane import Lane
from ._transaction import Transaction
from ._turns import Turns


class LaneQueue:
    """Exchanges by priority, within a lane by turns of the devices. Any thread puts, one thread gets.

    A question that may be shared is asked once for all who put it while it waits.

    :param owner: the URL of the link, for error messages.
    :param bound: how many exchanges may wait in each lane.
    """

    def __init__(self, owner: str, bound: int) -> None:
        self._owner = owner
        self._bound = bound
        self._lanes = tuple(Turns() for _ in Lane)
        self._shared: dict[tuple[object, ...], list[Transaction]] = {}
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
        with self._lock:
            if self._closed:
                raise LinkClosed(f"{self._owner}: the link is closed", hint="connect the device again")
            if transaction.share and self._joined(transaction):
                return
            lane = self._lanes[transaction.lane]
            if len(lane) >= self._bound:
                self._make_room(lane, transaction)
            lane.append(transaction)
            if transaction.share:
                self._shared.setdefault(transaction.question, []).append(transaction)
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
                if (transaction := self._next()) is not None:
                    return transaction

    def _next(self) -> Transaction | None:
        for lane in self._lanes:
            while lane:
                transaction = lane.popleft()
                if transaction.cancelled:
                    self._withdraw(transaction)
                    continue
                if transaction.share:
                    self._gather(transaction)
                return transaction
        return None

    def take_urgent_without_reply(self) -> Transaction | None:
        """Take an urgent exchange that expects no reply, if one waits: it can go while the reader is out of step."""
        with self._lock:
            return self._lanes[Lane.URGENT].pop_without_reply()

    def close(self) -> list[Transaction]:
        """Refuse what comes, wake the reader, and hand back what still waited."""
        with self._lock:
            self._closed = True
            left = [transaction for lane in self._lanes for transaction in lane]
            self._lanes = tuple(Turns() for _ in Lane)
            self._shared.clear()
        self._tokens.put(None)
        return left

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def _make_room(self, lane: Turns, transaction: Transaction) -> None:
        for dropped in lane.drop_cancelled():
            self._withdraw(dropped)
        if len(lane) >= self._bound:
            who, count = lane.fullest()
            raise QueueFull(
                f"{self._owner}: {len(lane)} exchanges already wait in lane {transaction.lane.name}, "
                f"{count} of them from {'somebody without a name' if who is None else who}",
                hint="read less often, or wait for replies before asking again",
            )

    # -- one question for all who ask it: each device has its place, and the first one served answers all -----------

    def _joined(self, transaction: Transaction) -> bool:
        """Whether the same device asks the same already, at least as far in front; others' places may be far behind."""
        for waiting in self._shared.get(transaction.question, ()):
            if waiting.who == transaction.who and waiting.lane <= transaction.lane:
                waiting.take_over(transaction)
                self.coalesced += 1
                return True
        return False

    def _gather(self, transaction: Transaction) -> None:
        """Its turn: it answers all who wait for the same. Whoever asks from now on gets an answer of their own."""
        for waiting in self._shared.pop(transaction.question):
            if waiting is not transaction and not waiting.cancelled:
                transaction.take_over(waiting)
                self.coalesced += 1

    def _withdraw(self, transaction: Transaction) -> None:
        """It is dropped: nobody can join it any more."""
        if transaction.share and transaction in (places := self._shared.get(transaction.question, [])):
            places.remove(transaction)
            if not places:
                del self._shared[transaction.question]
