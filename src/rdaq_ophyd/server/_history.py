"""The last documents, for clients whose connection was cut, and for those that come in the middle of a run."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from rdaq_ophyd.wire import messages

ROOM = 32 << 20
"""Bytes of documents that are kept; a scan point has about a thousand."""
HEADS = frozenset({"start", "descriptor", "resource", "stream_resource"})
"""Documents without which a run's later ones cannot be understood: kept for as long as a run is open."""


class Held(NamedTuple):
    """What a client gets first.

    :ivar position: of the last document before those.
    :ivar lost: documents after the position it gave that are not held any more.
    """

    documents: list[messages.Document]
    position: int
    lost: int


class History:
    """Documents by their position, which counts from 1.

    :ivar last: position of the latest one.
    """

    def __init__(self) -> None:
        self.last = 0
        self._held: deque[messages.Document] = deque()
        self._bytes = 0
        self._heads: list[messages.Document] = []  # of open runs, not held among the others any more
        self._open: list[int] = []  # positions of the start documents of open runs

    def add(self, document: messages.Document) -> None:
        """Take the next document, and give it its position."""
        self.last += 1
        document.position = self.last
        self._held.append(document)
        self._bytes += len(document.line)
        if document.name == "start":
            self._open.append(self.last)
        elif document.name == "stop" and self._open:
            self._open.pop()
        while self._bytes > ROOM and len(self._held) > 1:
            self._drop(self._held.popleft())
        if not self._open:
            self._heads.clear()

    def _drop(self, document: messages.Document) -> None:
        self._bytes -= len(document.line)
        if document.name in HEADS and self._open and document.position >= self._open[0]:
            self._heads.append(document)

    def since(self, position: int) -> Held:
        """What came behind a position."""
        found = [document for document in self._held if document.position > position]
        return Held(found, position, self.last - position - len(found))

    def open_run(self) -> Held:
        """The runs that are open, from their start; of a very long one the heads and the last documents."""
        if not self._open:
            return Held([], self.last, 0)
        begin = self._open[0]
        found = [*self._heads, *(document for document in self._held if document.position >= begin)]
        return Held(found, begin - 1, self.last - begin + 1 - len(found))
