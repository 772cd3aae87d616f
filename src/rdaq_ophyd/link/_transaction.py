"""One exchange with an instrument: what to send, what to wait for, and who waits for it."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field

from rdaq_ophyd.errors import RdaqError

from ._framing import Framing
from ._lane import Lane


def _one_waiter() -> list[Future[bytes]]:
    return [Future()]


@dataclass(eq=False, slots=True)
class Transaction:
    """A command, and the reply it expects.

    :param command: whole lines, end marks included; written in one piece.
    :param framing: how the reply ends; None when there is no reply.
    :param lane: its priority.
    :param timeout: seconds from the write to the end of the reply.
    :param safe: allowed while everything is stopped: questions, and what stops, closes or darkens.
    :param who: the device whose turn it takes in its lane.
    :param share: a pure question, whose answer goes to all who ask the same while it waits.
    :param waiters: the futures of all who wait for it; that of the first who asked comes first.
    """

    command: bytes
    framing: Framing | None
    lane: Lane
    timeout: float
    safe: bool = False
    who: Hashable = None
    share: bool = False
    waiters: list[Future[bytes]] = field(default_factory=_one_waiter)

    @property
    def future(self) -> Future[bytes]:
        """Of the first who asked."""
        return self.waiters[0]

    @property
    def question(self) -> tuple[object, ...]:
        """Equal for those that one reply can answer."""
        return self.command, self.framing, self.timeout, self.safe

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        for waiter in self.waiters:  # noqa: SIM110 (a generator takes twice as long, and each exchange passes here)
            if not waiter.cancelled():
                return False
        return True

    def take_over(self, other: Transaction) -> None:
        """Answer those who wait for ``other`` too; it is left with nobody."""
        self.waiters += other.waiters
        other.waiters = []

    def begin(self) -> bool:
        """It is sent now and can no longer be cancelled; False when nobody waits for it any more."""
        if len(self.waiters) == 1:
            return self.waiters[0].set_running_or_notify_cancel()
        self.waiters = [waiter for waiter in self.waiters if waiter.set_running_or_notify_cancel()]
        return bool(self.waiters)

    def answer(self, reply: bytes) -> None:
        """Give the reply to all who wait."""
        for waiter in self.waiters:
            waiter.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Tell all who wait that there is no reply."""
        for waiter in self.waiters[1:]:
            waiter.set_exception(_copy(error))
        self.waiters[0].set_exception(error)


def _copy(error: Exception) -> Exception:
    # Raised in several threads, one error would collect the tracebacks of all. Errors not ours may refuse to be copied.
    if not isinstance(error, RdaqError):
        return error
    twin = copy.copy(error)
    twin.__cause__ = error.__cause__
    return twin


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went over the wire last, for error messages."""

    sent: bytes
    received: bytes
    seconds: float

    def __str__(self) -> str:
        return f"sent {self.sent!r}, received {self.received!r} after {self.seconds:.3f} s"
