"""A simulated instrument without its port: bytes and the time go in, replies and their times come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import ClassVar, NamedTuple

#: Longest command line an instrument keeps; what comes beyond is lost, as in an instrument's own input buffer.
MAX_LINE = 256
#: Most commands that wait inside an instrument.
MAX_WAITING = 1000


class Reply(NamedTuple):
    """Bytes that an instrument begins to send at time ``at`` (s, the clock of ``feed``)."""

    at: float
    data: bytes


class _Waiting(NamedTuple):
    arrived: float
    command: str


class Instrument(ABC):
    """A state machine that takes commands one after another, each for ``latency`` seconds.

    It knows no clock of its own: the port (or a test) tells it the time, which never runs backwards.

    :param latency: seconds from the last byte of a command to its effect and the first byte of its reply.
    """

    name: ClassVar[str]
    #: Bits per second of the manual's serial setting, ten bits a byte.
    baud: ClassVar[int]
    #: The byte that ends a command.
    terminator: ClassVar[bytes]

    def __init__(self, *, latency: float = 0.0) -> None:
        self.latency = latency
        #: Latency in seconds of single commands, by their mnemonic; others take ``latency``.
        self.latencies: dict[str, float] = {}
        self._line = bytearray()
        self._overlong = False
        self._waiting: deque[_Waiting] = deque()
        self._free_at = float("-inf")

    def feed(self, data: bytes, now: float) -> list[Reply]:
        """Take ``data`` that arrived at ``now``; return the replies that are due by then."""
        replies = self.advance(now)
        for value in data:
            if value == self.terminator[0]:
                self._end_line(now)
            elif len(self._line) < MAX_LINE:
                self._line.append(value)
            else:
                self._overlong = True
        return replies + self.advance(now)

    def advance(self, now: float) -> list[Reply]:
        """Let time pass until ``now``; return the replies that became due, in order."""
        replies = []
        while self._waiting and (ready := self._ready_at()) <= now:
            command = self._waiting.popleft().command
            self._free_at = ready
            self.elapse(ready)
            if answer := self.execute(command, ready):
                replies.append(Reply(ready, answer))
        self.elapse(now)
        return replies

    def wake_at(self) -> float | None:
        """The next time (s) at which something happens by itself; None where nothing will."""
        return self._ready_at() if self._waiting else None

    def _ready_at(self) -> float:
        arrived, command = self._waiting[0]
        start = max(arrived, self._free_at, self.held_until())
        return start + self.latencies.get(self.mnemonic(command), self.latency)

    def _end_line(self, now: float) -> None:
        line = self._line.decode("latin-1")
        self._line.clear()
        if self._overlong:
            self._overlong = False
            self.overlong(now)
            return
        for command in self.split(line):
            self.enqueue(command, now)

    def enqueue(self, command: str, now: float) -> None:
        """Let a command wait that was complete at ``now``; lost where too many wait already."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(_Waiting(now, command))

    def held_until(self) -> float:
        """No command begins before this time (s); for commands that make the next ones wait."""
        return float("-inf")

    def elapse(self, now: float) -> None:  # noqa: B027 (an instrument in which nothing moves has nothing to do)
        """Update what changes with time alone."""

    @abstractmethod
    def split(self, line: str) -> list[str]:
        """The commands on a line without its terminator."""

    @abstractmethod
    def mnemonic(self, command: str) -> str:
        """The command's name, the key of ``latencies``."""

    @abstractmethod
    def execute(self, command: str, now: float) -> bytes | None:
        """Carry out one command; return the whole reply, or None."""

    @abstractmethod
    def overlong(self, now: float) -> None:
        """A line was longer than the input buffer and was dropped."""
