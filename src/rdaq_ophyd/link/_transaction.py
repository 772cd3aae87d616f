"""One exchange with an instrument: what to send, what to wait for, and who waits for it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

from ._framing import Framing
from ._lane import Lane


@dataclass(eq=False, slots=True)
class Transaction:
    """A command, and the reply it expects.

    :param command: whole lines, end marks included; written in one piece.
    :param framing: how the reply ends; None when there is no reply.
    :param lane: its priority.
    :param timeout: seconds from the write to the end of the reply.
    :param safe: allowed while everything is stopped: questions, and what stops, closes or darkens.
    """

    command: bytes
    framing: Framing | None
    lane: Lane
    timeout: float
    safe: bool = False
    future: Future[bytes] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went over the wire last, for error messages."""

    sent: bytes
    received: bytes
    seconds: float

    def __str__(self) -> str:
        return f"sent {self.sent!r}, received {self.received!r} after {self.seconds:.3f} s"
