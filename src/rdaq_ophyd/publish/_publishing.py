"""From a RunEngine to a publisher: bounded, in a thread of its own, with every document counted that was left out."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Counts", "Publishing", "Wire"]
logger = logging.getLogger(__name__)
MOST_WAITING = 4096
"""Documents that wait to be published."""
MOST_BYTES = 64 << 20
"""Of the arrays in them."""
LOOK_EVERY = 0.2
"""Seconds between two looks at what the other side says, while nothing is to be published."""
OPENS = 2.0
"""Seconds that documents wait for the other side when the session begins, before they are left out."""
DRAINS = 2.0
"""Seconds in which a session that ends publishes what waits."""


class Wire(Protocol):
    """What takes documents to others; used by one thread."""

    def ready(self) -> bool:
        """Whether there is another side that listens, by what it has said until now; does not wait."""

    def send(self, name: str, document: Mapping[str, Any]) -> bool:
        """Hand a document over; False when it was not taken within about a second."""

    def lost(self) -> int:
        """How many of those that were taken turned out not to have arrived, since the last call."""

    def close(self, seconds: float) -> None:
        """End it within that time."""


@dataclass(frozen=True)
class Counts:
    """Documents since the session began.

    :param published: handed over.
    :param missed: not.
    """

    published: int
    missed: int


class Publishing:
    """Subscribe it to a RunEngine: it takes each document in microseconds, and never raises.

    Whoever listens gets the documents in order, and may miss some: while nobody takes them they are left out, counted,
    and told in the log when it begins and when it ends. The record is the catalog's.

    :param name: of the other side, for the log.
    :param open_wire: makes it, in the thread that uses it.
    """

    def __init__(self, name: str, open_wire: Callable[[], Wire]) -> None:
        self.name = name
        self._open_wire = open_wire
        self._waiting: deque[tuple[str, Mapping[str, Any], int]] = deque()
        self._bytes = self._published = self._missed = self._gap = 0
        self._changed = threading.Condition()
        self._closing = False
        self._closing_by = 0.0
        self._thread = threading.Thread(target=self._run, name="publishing", daemon=True)
        self._thread.start()

    # -- the RunEngine's thread -----------------------------------------------------------------------------

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Take a document; waits for nothing but the queue's lock."""
        size = _array_bytes(document)
        with self._changed:
            full = len(self._waiting) >= MOST_WAITING or (self._bytes + size > MOST_BYTES and self._waiting)
            if self._closing or full:
                self._missed += 1
                self._gap += 1
                return
            self._waiting.append((name, document, size))
            self._bytes += size
            self._changed.notify()

    @property
    def counts(self) -> Counts:
        """How many were handed over until now, and how many not."""
        with self._changed:
            return Counts(self._published, self._missed)

    def close(self) -> None:
        """Publish what waits, bounded, and end. Idempotent."""
        with self._changed:
            self._closing_by = self._closing_by or time.monotonic() + DRAINS
            self._closing = True
            self._changed.notify()
        self._thread.join(2 * DRAINS + 5)

    # -- its own thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            wire = self._open_wire()
        except Exception:  # a scan goes on without it
            logger.exception("documents are not published to %s", self.name)
            with self._changed:
                self._closing = True
                self._missed += len(self._waiting)
            return
        try:
            self._publish(wire)
        except Exception:  # likewise; what comes from now on is counted
            logger.exception("documents are published to %s no more", self.name)
        finally:
            with self._changed:
                self._closing = True
                self._missed += len(self._waiting)
                self._gap += len(self._waiting)
                self._waiting.clear()
            wire.close(DRAINS)
            self._tell_end(wire.lost())

    def _publish(self, wire: Wire) -> None:
        patience = time.monotonic() + OPENS
        told = False  # the gap that is open
        while (taken := self._next()) is not None:
            while not wire.ready() and time.monotonic() < patience and not self._closing:
                time.sleep(0.01)
            if taken:
                name, document, _size = taken
                self._account(1, sent=wire.ready() and self._send(wire, name, document))
            self._account(wire.lost(), sent=False, again=True)
            told = self._tell(told, healthy=wire.ready())

    def _next(self) -> tuple[str, Mapping[str, Any], int] | tuple[()] | None:
        """A document; nothing, where none came for a while; None at the end."""
        with self._changed:
            if not self._waiting and not self._closing:
                self._changed.wait(LOOK_EVERY)
            if self._closing and (not self._waiting or time.monotonic() > self._closing_by):
                return None
            if not self._waiting:
                return ()
            found = self._waiting.popleft()
            self._bytes -= found[2]
            return found

    def _send(self, wire: Wire, name: str, document: Mapping[str, Any]) -> bool:
        try:
            return wire.send(name, document)
        except Exception:  # one that cannot be written in its way; the next may be
            logger.exception("a document %s cannot be published to %s", name, self.name)
            return False

    def _account(self, number: int, *, sent: bool, again: bool = False) -> None:
        """Count; ``again``: what was counted as published turned out not to be."""
        with self._changed:
            if sent:
                self._published += number
            else:
                self._missed += number
                self._gap += number
                self._published -= number if again else 0

    def _tell(self, told: bool, *, healthy: bool) -> bool:
        with self._changed:
            gap = self._gap
            over = healthy and not self._waiting
            if gap and over:
                self._gap = 0
        if gap and over:
            logger.warning("%s: %d documents were left out; they are in the catalog", self.name, gap)
            return False
        if gap and not told:
            logger.warning("%s does not take documents: until it does they go to the catalog alone", self.name)
            return True
        return told

    def _tell_end(self, lost: int) -> None:
        self._account(lost, sent=False, again=True)
        with self._changed:
            gap, self._gap = self._gap, 0
        if gap:
            logger.warning("%s: %d documents were left out until the end; they are in the catalog", self.name, gap)


def _array_bytes(document: Mapping[str, Any]) -> int:
    """Of arrays in an event: all else is small."""
    data = document.get("data")
    return sum(getattr(value, "nbytes", 0) for value in data.values()) if isinstance(data, Mapping) else 0
