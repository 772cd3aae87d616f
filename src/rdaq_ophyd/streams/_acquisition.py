"""One acquisition: the thread between an instrument's driver and the sink."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.stop import latch, pause

from ._words import Words


class Acquisition[Latest](threading.Thread, ABC):
    """Takes ``count`` items (0: until halted) from a driver into a sink.

    :param thread: what the thread is called.
    :param label: of the driver, for messages.
    :param words: for messages.
    :ivar last: the item taken last.
    :ivar started: done when the instrument acquires or waits for its trigger, or will not; never raises.
    :ivar done: done when it has stopped; never raises.
    """

    def __init__(self, thread: str, label: str, words: Words, count: int) -> None:
        super().__init__(name=f"{thread} {label}", daemon=True)
        self.label, self.words, self.count = label, words, count
        self.delivered = 0
        self.last: Latest | None = None
        self.failure: RdaqError | None = None
        self.halt = threading.Event()
        self.started: Future[None] = Future()
        self.done: Future[None] = Future()

    @property
    def complete(self) -> bool:
        """Whether every item was taken; an endless one never is."""
        return 0 < self.count <= self.delivered

    def run(self) -> None:
        """Take them."""
        try:
            if self._wanted():  # a stop may have come since it was asked for
                self._take()
        except Exception as error:  # noqa: BLE001  it reaches the status that waits for the items
            self.failure = self._said(error)
        self._ended()
        if not self.started.done():
            self.started.set_result(None)
        self.done.set_result(None)

    @abstractmethod
    def _take(self) -> None:
        """Start the instrument, say so with ``started``, take items while they are wanted, and stop it."""

    def _ended(self) -> None:
        """What is to be done when it has stopped, whatever ended it."""

    def _wanted(self) -> bool:
        return not (self.halt.is_set() or pause.is_set or latch.tripped or self.complete)

    def _note(self, taken: bool, latest: Latest) -> None:
        """Count an item that the sink has taken; one that it refused ends the acquisition."""
        if taken:
            self.delivered += 1
            self.last = latest
        else:
            self.halt.set()

    def _said(self, error: Exception) -> RdaqError:
        if isinstance(error, RdaqError):
            return error
        wrapped = self.words.error(f"{self.label}: {error}", hint=self.words.broken)
        wrapped.__cause__ = error
        return wrapped
