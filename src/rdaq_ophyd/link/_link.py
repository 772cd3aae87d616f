"""A link to an instrument: one owner thread does every exchange; a preempting write goes past it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future

from ._exchanger import Exchanger, Patience, check_latch, closed
from ._framing import Framing, Line
from ._lane import Lane
from ._queue import LaneQueue
from ._safety import LinkSafety
from ._transaction import Exchange, Transaction


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
        self._patience = Patience(quiet, late, babble)
        self._bound = bound
        self._exchanger: Exchanger | None = None
        self._thread: threading.Thread | None = None
        self._state_lock = threading.Lock()
        self.safety = LinkSafety(self)
        self._openings = 0

    @property
    def is_open(self) -> bool:
        """True between ``open`` and ``close`` as long as the port is there."""
        exchanger = self._exchanger
        return exchanger is not None and exchanger.lost is None

    @property
    def openings(self) -> int:
        """How often the port was opened: another number means another descriptor, whatever its value."""
        return self._openings

    @property
    def last_exchange(self) -> Exchange | None:
        """The last question that was answered since the link opened."""
        return self._exchanger.last_exchange if self._exchanger else None

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
            self._openings += 1
            queue = LaneQueue(self.url, self._bound)
            self._exchanger = Exchanger(self.url, self._read, self._write, queue, self._patience)
            self._thread = threading.Thread(target=self._exchanger.run, daemon=True, name=f"rdaq-link {self.url}")
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
        safe: bool = False,
    ) -> Future[bytes]:
        """Queue an exchange, from any thread. The future gives the reply without its end mark (``b""`` for none).

        :param command: whole lines, end marks included; they go out in one piece, nothing comes between them.
        :param reply: True for the link's own framing, False for no reply, or how this reply ends.
        :param timeout: seconds from the write to the end of the reply; None for the link's.
        :param safe: allowed while everything is stopped: questions, and what stops, closes or darkens.
        :raises LinkClosed: the link is not open, or its port vanished.
        :raises StopLatched: everything was stopped, and ``command`` is not safe.
        :raises QueueFull: too much waits already.
        """
        exchanger = self._alive()
        if not safe:
            check_latch(self.url, command)
        framing = self.reply if reply is True else None if reply is False else reply
        transaction = Transaction(command, framing, lane, self.timeout if timeout is None else timeout, safe)
        exchanger.queue.put(transaction)
        return transaction.future

    async def ask(
        self,
        command: bytes,
        *,
        reply: bool | Framing = True,
        lane: Lane = Lane.NORMAL,
        timeout: float | None = None,
        safe: bool = False,
    ) -> bytes:
        """Send ``command`` and wait for its reply.

        :raises ReplyTimeout: no complete reply within ``timeout`` seconds.
        :raises BadReply: the instrument does not stop sending.
        :raises LinkClosed: the link is closed, or the port vanished.
        """
        return await asyncio.wrap_future(self.submit(command, reply=reply, lane=lane, timeout=timeout, safe=safe))

    async def tell(self, command: bytes, *, lane: Lane = Lane.NORMAL, safe: bool = False) -> None:
        """Send ``command``, which has no reply, and wait until it is written.

        :raises LinkClosed: the link is closed, or the port vanished.
        """
        await asyncio.wrap_future(self.submit(command, reply=False, lane=lane, safe=safe))

    def preempt(self, command: bytes, *, safe: bool = True) -> None:
        """Write ``command`` now, ahead of everything, from any thread and without an event loop.

        Only for commands without a reply, on instruments that take input while they owe a reply. It waits for nothing
        but the line being written at this moment; the reader whose reply is pending keeps it.

        :raises LinkClosed: the link is not open, or its port vanished.
        """
        self._alive().send(command, safe=safe)

    def preempt_soon(self, command: bytes) -> bool:
        """Write a safe command as ``preempt`` does, but only if nothing must be waited for; False: it was not written.

        :raises LinkClosed: the link is not open, or its port vanished.
        """
        exchanger = self._alive()
        return self._ready() and exchanger.send_soon(command)

    def resync(self) -> None:
        """Say that a reply made no sense: the input is drained until quiet before the next question."""
        if (exchanger := self._exchanger) is not None:
            exchanger.resync()

    # What a transport provides. `_read` is called by the owner thread alone, `_write` by one thread at a time.

    @abstractmethod
    def _open(self) -> None:
        """Open the port."""

    @abstractmethod
    def _read(self, seconds: float) -> bytes:
        """Return what arrived, waiting for it up to ``seconds``; ``b""`` when nothing came."""

    @abstractmethod
    def _write(self, data: bytes) -> None:
        """Write all of ``data``."""

    def _ready(self) -> bool:
        """Whether a write would return at once; True where the transport cannot tell."""
        return True

    def fileno(self) -> int | None:
        """The descriptor of the open port; None where there is none that another process could use."""
        return None

    def duplicate(self) -> int | None:
        """A duplicate of the open port's descriptor, for another process; whoever asks closes it.

        None where there is none to be had, or while the port is being opened or closed.
        """
        if not self._state_lock.acquire(timeout=0.1):
            return None
        try:
            fd = self.fileno() if self.is_open else None
            return None if fd is None else os.dup(fd)
        finally:
            self._state_lock.release()

    @abstractmethod
    def _shut(self) -> None:
        """Close the port; harmless when it is closed."""

    def _alive(self) -> Exchanger:
        if (exchanger := self._exchanger) is None:
            raise closed(self.url)
        exchanger.check_alive()
        return exchanger

    def _close(self) -> None:
        exchanger, self._exchanger = self._exchanger, None
        thread, self._thread = self._thread, None
        if exchanger is not None:
            exchanger.close()
        if thread is not None:
            thread.join()
        with contextlib.suppress(OSError):  # a port that vanished may refuse to be closed
            self._shut()
