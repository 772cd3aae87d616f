"""A link to an instrument: one owner thread does every exchange; a preempting write goes past it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import Future

from rdaq_ophyd.errors import BadReply, LinkClosed, LinkError, ReplyTimeout

from ._framing import Framing, Line
from ._lane import Lane
from ._queue import LaneQueue
from ._transaction import Exchange, Transaction

logger = logging.getLogger(__name__)

SLICE = 0.1
"""Longest single wait for bytes, in seconds: how soon a close is noticed."""
URGENT_SLICE = 0.02
"""The same while the reader is out of step: how soon an urgent command without reply is noticed then."""
MAX_REPLY = 1 << 20
"""Bytes without an end mark after which a reply is called garbage; the longest real ones (waveforms) are shorter."""


class Link(ABC):
    """Bytes to and from an instrument, whatever carries them.

    An exchange that began always runs to its end in the owner thread, also when nobody waits for it any more, so that
    its reply can never be taken for another's. One that is cancelled while it waits is never sent. After a time-out or
    garbage the input is drained until it is quiet before the next question.

    :param url: where the instrument is; used in messages.
    :param reply: how a reply ends unless an exchange says otherwise.
    :param timeout: seconds from a question to the end of its reply, unless an exchange says otherwise.
    :param quiet: seconds without a byte that count as silence when draining.
    :param late: seconds after a time-out in which a late reply is still awaited (and dropped) before the next question
        goes out; None: as long as the time-out was.
    :param babble: seconds of draining after which an instrument that never falls silent fails the question.
    :param bound: how many exchanges may wait in each lane.
    """

    def __init__(
        self,
        url: str,
        *,
        reply: Framing | None = None,
        timeout: float = 1.0,
        quiet: float = 0.05,
        late: float | None = None,
        babble: float = 2.0,
        bound: int = 1024,
    ) -> None:
        self.url = url
        self.reply: Framing = reply or Line()
        self.timeout = timeout
        self.last_exchange: Exchange | None = None
        self._quiet, self._late, self._babble, self._bound = quiet, late, babble, bound
        self._buffer = bytearray()
        self._queue: LaneQueue | None = None
        self._thread: threading.Thread | None = None
        self._state_lock = threading.Lock()
        # Reentrant, so that a signal handler that preempts cannot deadlock with the code it interrupted.
        self._write_lock = threading.RLock()
        self._lost: LinkError | None = None
        self._out_of_step = False
        self._late_until = 0.0

    @property
    def is_open(self) -> bool:
        """True between ``open`` and ``close`` as long as the port is there."""
        return self._queue is not None and self._lost is None

    def open(self) -> None:
        """Open the port and start its owner thread; nothing happens when it is open. Blocks: call it in a thread.

        :raises PortNotFound: there is no such port, or nobody listens at the address.
        :raises PortBusy: somebody else holds the port.
        :raises PortNotPermitted: the user may not open it.
        """
        with self._state_lock:
            if self.is_open:
                return
            self._close()
            self._open()
            self._buffer.clear()
            self._lost, self._out_of_step, self._late_until = None, False, 0.0
            self._queue = LaneQueue(self.url, self._bound)
            self._thread = threading.Thread(
                target=self._run, args=(self._queue,), daemon=True, name=f"rdaq-link {self.url}"
            )
            self._thread.start()

    def close(self) -> None:
        """Close the port; what waits, or is not answered within 0.1 s more, fails with LinkClosed. May be repeated."""
        with self._state_lock:
            self._close()

    def submit(
        self,
        command: bytes,
        *,
        reply: bool | Framing = True,
        lane: Lane = Lane.NORMAL,
        timeout: float | None = None,
    ) -> Future[bytes]:
        """Queue an exchange, from any thread. The future gives the reply without its end mark (``b""`` for none).

        :param command: whole lines, end marks included; they go out in one piece, nothing comes between them.
        :param reply: True for the link's own framing, False for no reply, or how this reply ends.
        :param timeout: seconds from the write to the end of the reply; None for the link's.
        :raises LinkClosed: the link is not open, or its port vanished.
        :raises QueueFull: too much waits already.
        """
        if (queue := self._queue) is None:
            raise self._closed()
        if self._lost is not None:
            raise self._lost_again()
        framing = self.reply if reply is True else None if reply is False else reply
        transaction = Transaction(command, framing, lane, self.timeout if timeout is None else timeout)
        queue.put(transaction)
        return transaction.future

    async def ask(
        self,
        command: bytes,
        *,
        reply: bool | Framing = True,
        lane: Lane = Lane.NORMAL,
        timeout: float | None = None,
    ) -> bytes:
        """Send ``command`` and wait for its reply.

        :raises ReplyTimeout: no complete reply within ``timeout`` seconds.
        :raises BadReply: the instrument does not stop sending.
        :raises LinkClosed: the link is closed, or the port vanished.
        """
        return await asyncio.wrap_future(self.submit(command, reply=reply, lane=lane, timeout=timeout))

    async def tell(self, command: bytes, *, lane: Lane = Lane.NORMAL) -> None:
        """Send ``command``, which has no reply, and wait until it is written.

        :raises LinkClosed: the link is closed, or the port vanished.
        """
        await asyncio.wrap_future(self.submit(command, reply=False, lane=lane))

    def preempt(self, command: bytes) -> None:
        """Write ``command`` now, ahead of everything, from any thread and without an event loop.

        Only for commands without a reply, on instruments that take input while they owe a reply. It waits for nothing
        but the line being written at this moment; the reader whose reply is pending keeps it.

        :raises LinkClosed: the link is not open, or its port vanished.
        """
        with self._write_lock:
            if not self.is_open:
                raise self._closed() if self._lost is None else self._lost_again()
            self._send(command)

    def resync(self) -> None:
        """Say that a reply made no sense: the input is drained until quiet before the next question."""
        self._out_of_step = True

    # What a transport provides. `_read` is called by the owner thread alone, `_write` under the write lock.

    @abstractmethod
    def _open(self) -> None:
        """Open the port."""

    @abstractmethod
    def _read(self, seconds: float) -> bytes:
        """Return what arrived, waiting for it up to ``seconds``; ``b""`` when nothing came."""

    @abstractmethod
    def _write(self, data: bytes) -> None:
        """Write all of ``data``."""

    @abstractmethod
    def _shut(self) -> None:
        """Close the port; harmless when it is closed."""

    # The owner thread.

    def _run(self, queue: LaneQueue) -> None:
        while (transaction := queue.get()) is not None:
            self._serve(transaction)

    def _serve(self, transaction: Transaction) -> None:
        future = transaction.future
        if not future.set_running_or_notify_cancel():
            return
        try:
            reply = self._exchange(transaction)
        except LinkError as error:
            future.set_exception(error)
        except Exception as error:  # whatever it is, the waiter must hear of it and the thread must live
            logger.exception("%s: unexpected error in an exchange", self.url)
            future.set_exception(error)
        else:
            future.set_result(reply)

    def _exchange(self, transaction: Transaction) -> bytes:
        if self._lost is not None:
            raise self._lost_again()
        if transaction.framing is None:
            self._send(transaction.command)
            return b""
        self._clear_input()
        start = time.monotonic()
        self._send(transaction.command)
        return self._receive(transaction, transaction.framing, start)

    def _send(self, command: bytes) -> None:
        try:
            with self._write_lock:
                self._write(command)
        except LinkClosed as error:
            raise self._lose(error) from error

    def _receive(self, transaction: Transaction, framing: Framing, start: float) -> bytes:
        buffer, end = self._buffer, start + transaction.timeout
        while (reply := framing.cut(buffer)) is None:
            left = end - time.monotonic()
            if left <= 0:
                raise self._timed_out(transaction)
            if len(buffer) > MAX_REPLY:
                self._out_of_step = True
                raise BadReply(
                    f"{self.url}: {len(buffer)} bytes in answer to {transaction.command!r}, but no end of a reply",
                    hint="check the baud rate and that this is the right instrument",
                )
            buffer += self._read_or_lose(min(left, SLICE))
            if self._thread is None:
                raise self._closed()
        self.last_exchange = Exchange(transaction.command, reply, time.monotonic() - start)
        return reply

    def _read_or_lose(self, seconds: float) -> bytes:
        try:
            return self._read(seconds)
        except LinkClosed as error:
            raise self._lose(error) from error

    def _lose(self, error: LinkClosed) -> LinkClosed:
        self._lost = LinkClosed(f"{error.what} ({self._last()})", hint=error.hint)
        return self._lost

    def _last(self) -> str:
        return f"last exchange: {self.last_exchange}" if self.last_exchange else "it has not answered anything yet"

    def _timed_out(self, transaction: Transaction) -> ReplyTimeout:
        self._out_of_step = True
        self._late_until = time.monotonic() + (transaction.timeout if self._late is None else self._late)
        partial = bytes(self._buffer)
        got = f"only {partial!r} (no end mark)" if partial else "no reply"
        self._buffer.clear()
        return ReplyTimeout(
            f"{self.url}: {got} to {transaction.command!r} within {transaction.timeout:g} s ({self._last()})",
            hint="is the instrument on, the cable plugged, the baud rate right?",
        )

    def _clear_input(self) -> None:
        """Make sure that the next bytes to arrive answer the next question."""
        if self._out_of_step:
            self._drain_until_quiet()
            return
        stale = bytes(self._buffer) + self._read_or_lose(0.0)
        self._buffer.clear()
        if stale:
            logger.debug("%s: dropped %r, which answers no question", self.url, stale)

    def _drain_until_quiet(self) -> None:
        start = time.monotonic()
        quiet_at = max(start + self._quiet, self._late_until)
        bound = quiet_at + self._babble
        dropped = bytearray(self._buffer)
        self._buffer.clear()
        while (now := time.monotonic()) < quiet_at:
            if now > bound:
                raise BadReply(
                    f"{self.url}: sends without being asked, and did not stop within {now - start:.1f} s "
                    f"(last bytes: {bytes(dropped[-40:])!r}; {self._last()})",
                    hint="check the baud rate and whether the instrument is set to stream",
                )
            if chunk := self._read_or_lose(min(quiet_at - now, URGENT_SLICE)):
                dropped += chunk
                # The late reply is coming in: from here on, silence is enough.
                quiet_at = time.monotonic() + self._quiet
            if self._thread is None:
                raise self._closed()
            while (urgent := self._queue.take_urgent_without_reply() if self._queue else None) is not None:
                self._serve(urgent)
        if dropped:
            logger.info("%s: dropped %r while getting back into step", self.url, bytes(dropped))
        self._out_of_step, self._late_until = False, 0.0

    # Closing.

    def _close(self) -> None:
        queue, thread = self._queue, self._thread
        self._queue = self._thread = None
        if queue is not None:
            for transaction in queue.close():
                if transaction.future.set_running_or_notify_cancel():
                    transaction.future.set_exception(self._closed())
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._write_lock, contextlib.suppress(OSError):  # a port that vanished may refuse to be closed
            self._shut()

    def _closed(self) -> LinkClosed:
        return LinkClosed(f"{self.url}: the link is closed", hint="connect the device again")

    def _lost_again(self) -> LinkClosed:
        what = self._lost.what if self._lost else f"{self.url}: the port vanished"
        return LinkClosed(what, hint="plug it in again, then connect the device again")
