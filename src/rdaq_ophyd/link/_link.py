"""A link to an instrument: one owner thread does every exchange; a preempting write goes past it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Hashable
from concurrent.futures import Future

from rdaq_ophyd.errors import LinkError, RdaqError

from ._exchanger import Patience
from ._framing import Framing, Line
from ._lane import Lane
from ._port import Port
from ._safety import LinkSafety
from ._statistics import LinkStatistics
from ._trace import TraceEntry
from ._transaction import Exchange, Transaction

logger = logging.getLogger(__name__)


class Link(Port):
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
        super().__init__(url, Patience(quiet, late, babble), bound)
        self.reply: Framing = reply or Line()
        self.timeout = timeout
        self.safety = LinkSafety(self)

    @property
    def last_exchange(self) -> Exchange | None:
        """The last question that was answered since the link opened."""
        return self._exchanger.last_exchange if self._exchanger else None

    @property
    def statistics(self) -> LinkStatistics:
        """Counts and latencies since the link was made."""
        queue = exchanger.queue if (exchanger := self._exchanger) is not None else None
        return self._record.counters.snapshot(
            queued=0 if queue is None else len(queue), coalesced=0 if queue is None else queue.coalesced
        )

    def trace(self) -> tuple[TraceEntry, ...]:
        """The last 200 things that happened on the wire, oldest first."""
        return self._record.trace.entries()

    def submit(
        self,
        command: bytes,
        *,
        reply: bool | Framing = True,
        lane: Lane = Lane.NORMAL,
        timeout: float | None = None,
        safe: bool = False,
        who: Hashable = None,
        share: bool = False,
    ) -> Future[bytes]:
        """Queue an exchange, from any thread. The future gives the reply without its end mark (``b""`` for none).

        :param command: whole lines, end marks included; they go out in one piece, nothing comes between them.
        :param reply: True for the link's own framing, False for no reply, or how this reply ends.
        :param timeout: seconds from the write to the end of the reply; None for the link's.
        :param safe: allowed while everything is stopped: questions, and what stops, closes or darkens.
        :param who: the device that asks. Within a lane the devices take turns, so that one that queues a thousand
            exchanges delays those of another by at most one.
        :param share: a question that changes nothing: while it waits, all who ask the same (with the same framing,
            time-out and ``safe``) get one answer. One that was sent already is not shared: its answer may be older
            than the question.
        :raises LinkClosed: the link is not open, or its port vanished.
        :raises StopLatched: everything was stopped, and ``command`` is not safe.
        :raises QueueFull: too much waits already.
        :raises ValueError: ``share`` for a command without reply.
        """
        exchanger = self._alive(halt=safe and reply is False and lane is Lane.URGENT)
        if not safe:
            exchanger.check_latch(command)
        framing = self.reply if reply is True else None if reply is False else reply
        if share and framing is None:
            raise ValueError(f"{self.url}: {command!r} has no reply that could be shared; share=True is for questions")
        seconds = self.timeout if timeout is None else timeout
        transaction = Transaction(command, framing, lane, seconds, safe, who, share)
        future = transaction.future  # the queue may hand it to an exchange that waits already
        try:
            exchanger.queue.put(transaction)
        except LinkError as error:
            raise type(error)(f"{error.what} ({exchanger.last()})", hint=error.hint) from None
        return future

    async def ask(
        self,
        command: bytes,
        *,
        reply: bool | Framing = True,
        lane: Lane = Lane.NORMAL,
        timeout: float | None = None,
        safe: bool = False,
        who: Hashable = None,
        share: bool = False,
    ) -> bytes:
        """Send ``command`` and wait for its reply; parameters as in ``submit``.

        :raises ReplyTimeout: no complete reply within ``timeout`` seconds.
        :raises BadReply: the instrument does not stop sending.
        :raises LinkClosed: the link is closed, or the port vanished.
        """
        return await asyncio.wrap_future(
            self.submit(command, reply=reply, lane=lane, timeout=timeout, safe=safe, who=who, share=share)
        )

    async def tell(self, command: bytes, *, lane: Lane = Lane.NORMAL, safe: bool = False, who: Hashable = None) -> None:
        """Send ``command``, which has no reply, and wait until it is written; parameters as in ``submit``.

        :raises LinkClosed: the link is closed, or the port vanished.
        """
        await asyncio.wrap_future(self.submit(command, reply=False, lane=lane, safe=safe, who=who))

    def preempt(self, command: bytes, *, safe: bool = True) -> None:
        """Write ``command`` now, ahead of everything, from any thread and without an event loop.

        Only for commands without a reply, on instruments that take input while they owe a reply. It waits for nothing
        but the line being written at this moment; the reader whose reply is pending keeps it.

        :raises LinkClosed: the link is not open, or its port vanished.
        """
        self._alive(halt=safe).send(command, safe=safe, preempt=True)

    def preempt_soon(self, command: bytes) -> bool:
        """Write a safe command as ``preempt`` does, but only if nothing must be waited for; False: it was not written.

        :raises LinkClosed: the link is not open, or its port vanished.
        """
        exchanger = self._alive(halt=True)
        return self._ready() and exchanger.send_soon(command)

    def preempt_promptly(self, command: bytes) -> None:
        """The same, but what must be waited for is left to a thread, where an error is logged; for signal handlers.

        :raises LinkClosed: the link is not open, or its port vanished.
        """
        if not self.preempt_soon(command):
            threading.Thread(target=self._preempt_later, args=(command,), name="rdaq-halt", daemon=True).start()

    def _preempt_later(self, command: bytes) -> None:
        try:
            self.preempt(command)
        except RdaqError as error:
            logger.error("%s: %r was not written: %s", self.url, command, error)

    def resync(self) -> None:
        """Say that a reply made no sense: the input is drained until quiet before the next question."""
        if (exchanger := self._exchanger) is not None:
            exchanger.resync()

    def _catch_up(self) -> None:
        self.safety.catch_up()
