"""The exchanges on one open port: run by its owner thread, kept in step with the instrument."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty

from rdaq_ophyd.errors import BadReply, LinkClosed, LinkError, ReplyTimeout, StopLatched
from rdaq_ophyd.stop import latch

from ._framing import Framing
from ._heart import Heart
from ._lane import Lane
from ._queue import LaneQueue
from ._record import Record
from ._transaction import Exchange, Transaction

logger = logging.getLogger(__name__)

SLICE = 0.1
"""Longest single wait for bytes, in seconds: how soon a close is noticed."""
URGENT_SLICE = 0.02
"""The same while out of step: how soon an urgent command without reply is noticed then."""
LOCK_PATIENCE = 0.002
"""Seconds that a halt waits for the line that another thread is writing, before it leaves the waiting to a thread."""
HEARTBEAT_TIMEOUT = 1.0
"""Seconds that an instrument may take to answer the question whether it is there."""
MAX_REPLY = 1 << 20
"""Bytes without an end mark after which a reply is called garbage; the longest real ones (waveforms) are shorter."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for an instrument that is out of step, in seconds; see ``Link``."""

    quiet: float
    late: float | None
    babble: float


class Exchanger:
    """Takes exchanges from a queue and does them one after the other, from ``open`` to ``close`` of a link.

    :param url: for messages.
    :param read: returns what arrived, waiting up to the given seconds; called by the owner thread alone.
    :param write: writes all of the given bytes; called under the write lock.
    :param record: counts and traces what happens.
    :param on_lost: called once, by whichever thread notices that the port vanished.
    :param stray: the same as ``read``, when nothing was asked: what arrives then answers no question.
    :param slice_: longest single wait for a reply, in seconds.
    """

    def __init__(
        self,
        url: str,
        read: Callable[[float], bytes],
        write: Callable[[bytes], None],
        queue: LaneQueue,
        patience: Patience,
        record: Record,
        on_lost: Callable[[], None],
        heart: Heart,
        stray: Callable[[float], bytes],
        slice_: float,
    ) -> None:
        self._stray, self._slice = stray, slice_
        self.queue = queue
        self.heart = heart
        self.lost: LinkClosed | None = None
        self.last_exchange: Exchange | None = None
        self._record, self._on_lost = record, on_lost
        self._losing = threading.RLock()
        self._url, self._read, self._write, self._patience = url, read, write, patience
        self._buffer = bytearray()
        # Reentrant, so that a signal handler that preempts cannot deadlock with the code it interrupted.
        self._write_lock = threading.RLock()
        self._closing = False
        # An answer to what somebody else asked before may still be on its way.
        self._out_of_step = self._fresh = True
        self._late_until = 0.0

    def run(self) -> None:
        """Serve the queue until it is closed: what the owner thread does."""
        while True:
            try:
                transaction = self.queue.get(self.heart.every)
            except Empty:
                transaction = self._heartbeat()
            if transaction is None:
                return
            self._serve(transaction)

    def _heartbeat(self) -> Transaction:
        heart = self.heart
        return Transaction(heart.question, heart.framing, Lane.POLL, HEARTBEAT_TIMEOUT, safe=True)

    def send(self, command: bytes, *, safe: bool, preempt: bool = False) -> None:
        """Write whole lines, from any thread; nobody else's bytes come between them.

        :param preempt: for the record: it is written out of turn.
        :raises LinkClosed: the port vanished.
        :raises StopLatched: everything was stopped, and ``command`` is not safe.
        """
        try:
            with self._write_lock:
                # Looked at under the lock that a halt needs too: what passes here is written before the halt.
                if not safe:
                    self.check_latch(command)
                self._write(command)
                self._record.wrote(command, preempt=preempt)
        except LinkClosed as error:
            raise self.lose(error) from error

    def send_soon(self, command: bytes) -> bool:
        """Write a safe command if that needs no waiting; False when another thread is at it.

        :raises LinkClosed: the port vanished.
        """
        if not self._write_lock.acquire(timeout=LOCK_PATIENCE):
            return False
        try:
            self._write(command)
            self._record.wrote(command, preempt=True)
        except LinkClosed as error:
            # Not here: a signal handler may have interrupted whoever holds the queue's lock.
            threading.Thread(target=self.lose, args=(error,), name="rdaq-halt", daemon=True).start()
            raise
        finally:
            self._write_lock.release()
        return True

    def check_latch(self, command: bytes) -> None:
        """Refuse a command that is not safe while everything is stopped.

        :raises StopLatched: names link and command.
        """
        if latch.tripped:
            self._record.counters.refused += 1
            latch.check(f"{self._url}: {command!r}")

    def resync(self) -> None:
        """Drain the input until quiet before the next question: the last reply made no sense."""
        self._out_of_step = True
        self._record.counters.bad_replies += 1

    def close(self) -> None:
        """Fail what waits, and what is in flight unless its reply comes within ``SLICE``; the thread then ends."""
        self._closing = True
        self._fail_all(self._closed())

    def lose(self, error: LinkClosed) -> LinkClosed:
        """The port vanished: what waits fails, the thread ends. The error to raise, with the last exchange."""
        with self._losing:
            if self.lost is not None:
                return self.lost
            self.lost = LinkClosed(f"{error.what} ({self.last()})", hint=error.hint)
        self._fail_all(self.lost)
        self._on_lost()
        return self.lost

    def _fail_all(self, error: LinkClosed) -> None:
        for transaction in self.queue.close():
            if transaction.begin():
                transaction.fail(LinkClosed(error.what, hint=error.hint))

    def check_alive(self) -> None:
        """Raise when the port vanished.

        :raises LinkClosed: what happened, with the last exchange.
        """
        if self.lost is not None:
            raise LinkClosed(self.lost.what, hint="plug it in again, then connect the device again")

    def _serve(self, transaction: Transaction) -> None:
        if not transaction.begin():
            return
        try:
            reply = self._exchange(transaction)
        except (LinkError, StopLatched) as error:
            transaction.fail(error)
        except Exception as error:  # whatever it is, the waiter must hear of it and the thread must live
            logger.exception("%s: unexpected error in an exchange", self._url)
            transaction.fail(error)
        else:
            transaction.answer(reply)

    def _exchange(self, transaction: Transaction) -> bytes:
        self.check_alive()
        counters = self._record.counters
        if transaction.framing is None:
            counters.writes += 1
            self.send(transaction.command, safe=transaction.safe)
            return b""
        self._clear_input()
        start = time.monotonic()
        self.send(transaction.command, safe=transaction.safe)
        reply = self._receive(transaction, transaction.framing, start)
        end = time.monotonic()
        self.last_exchange = Exchange(transaction.command, reply, end - start)
        counters.note_exchange(start, end)
        self.heart.answered()
        return reply

    def _receive(self, transaction: Transaction, framing: Framing, start: float) -> bytes:
        buffer, end = self._buffer, start + transaction.timeout
        while (reply := framing.cut(buffer)) is None:
            left = end - time.monotonic()
            if left <= 0:
                # This thread may have slept through what came in before the time was up.
                buffer += self._wait_for_bytes(0.0)
                if (reply := framing.cut(buffer)) is not None:
                    return reply
                raise self._timed_out(transaction)
            if len(buffer) > MAX_REPLY:
                self.resync()
                raise BadReply(
                    f"{self._url}: {len(buffer)} bytes in answer to {transaction.command!r}, but no end of a reply "
                    f"({self.last()})",
                    hint="check the baud rate and that this is the right instrument",
                )
            buffer += self._wait_for_bytes(min(left, self._slice))
        return reply

    def _wait_for_bytes(self, seconds: float, *, stray: bool = False) -> bytes:
        try:
            data = self._stray(seconds) if stray else self._read(seconds)
        except LinkClosed as error:
            raise self.lose(error) from error
        if data:
            self._record.read(data)
        elif self._closing:
            raise self._closed()
        return data

    def _timed_out(self, transaction: Transaction) -> ReplyTimeout:
        late = self._patience.late
        self._record.counters.timeouts += 1
        self.heart.missed()
        self._out_of_step = True
        self._late_until = time.monotonic() + (transaction.timeout if late is None else late)
        partial = bytes(self._buffer)
        self._buffer.clear()
        got = f"only {partial!r} (no end mark)" if partial else "no reply"
        return ReplyTimeout(
            f"{self._url}: {got} to {transaction.command!r} within {transaction.timeout:g} s ({self.last()})",
            hint="is it this port? is the instrument on, the cable plugged, the baud rate right? see `rdaq doctor`",
        )

    def _clear_input(self) -> None:
        """Make sure that the next bytes to arrive answer the next question."""
        if self._out_of_step:
            self._drain_until_quiet()
            return
        stale = bytes(self._buffer) + self._wait_for_bytes(0.0, stray=True)
        self._buffer.clear()
        if stale:
            self._record.trace.add("drop", stale)
            logger.debug("%s: dropped %r, which answers no question", self._url, stale)

    def _drain_until_quiet(self) -> None:
        if not self._fresh:
            self._record.counters.resyncs += 1
        start, quiet = time.monotonic(), self._patience.quiet
        quiet_at = max(start + quiet, self._late_until)
        bound = quiet_at + self._patience.babble
        dropped = bytearray(self._buffer)
        self._buffer.clear()
        while True:
            now = time.monotonic()
            # Looked at also when the time is up: this thread may have slept through what came in before.
            if chunk := self._wait_for_bytes(min(max(quiet_at - now, 0.0), URGENT_SLICE), stray=True):
                dropped += chunk
                # The late reply is coming in: from here on, silence is enough.
                quiet_at = time.monotonic() + quiet
            elif now >= quiet_at:
                break
            if now > bound:
                self._record.counters.bad_replies += 1
                raise BadReply(
                    f"{self._url}: sends without being asked, and did not stop within {now - start:.1f} s "
                    f"(last bytes: {bytes(dropped[-40:])!r}; {self.last()})",
                    hint="check the baud rate and whether the instrument is set to stream",
                )
            while (urgent := self.queue.take_urgent_without_reply()) is not None:
                self._serve(urgent)
        if dropped:
            self._record.trace.add("drop", bytes(dropped))
            logger.info("%s: dropped %r while getting back into step", self._url, bytes(dropped))
        self._out_of_step, self._late_until, self._fresh = False, 0.0, False

    def _closed(self) -> LinkClosed:
        error = closed(self._url)
        return LinkClosed(f"{error.what} ({self.last()})", hint=error.hint)

    def last(self) -> str:
        """The last exchange, for messages."""
        return f"last exchange: {self.last_exchange}" if self.last_exchange else "it has not answered anything yet"


def closed(url: str) -> LinkClosed:
    """The error for a link that is not open."""
    return LinkClosed(f"{url}: the link is closed", hint="connect the device again")
