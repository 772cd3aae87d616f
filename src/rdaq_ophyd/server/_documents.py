"""Documents for clients: each one to every listener, in order; a listener that falls too far behind is let go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import contextmanager
from typing import Any

from rdaq_ophyd.document_lines import encode
from rdaq_ophyd.errors import FellBehind, LimitError
from rdaq_ophyd.wire import messages

from ._history import Held, History

ROOM = 64 << 20
"""Bytes of documents that may wait for one listener; a scan point has about a thousand."""


class _Listener:
    def __init__(self) -> None:
        self.waiting: deque[messages.Document] = deque()
        self.bytes = 0
        self.behind = False
        self.news = asyncio.Event()

    def offer(self, document: messages.Document) -> None:
        if self.behind:
            return
        self.bytes += len(document.line)
        if self.bytes > ROOM:
            self.behind = True
            self.waiting.clear()
        else:
            self.waiting.append(document)
        self.news.set()


class Documents:
    """Subscribe the object itself to a RunEngine.

    :param loop: on which the listeners are served.
    :param instance: of the server; a position is of no use with another one's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, instance: str = "") -> None:
        self._loop, self._instance = loop, instance
        self._history = History()
        self._listeners: set[_Listener] = set()

    def __call__(self, name: str, document: dict[str, Any]) -> None:
        """Take a document, in the RunEngine's thread; returns at once."""
        message = messages.Document(name=name, line=encode(name, document))
        self._loop.call_soon_threadsafe(self._spread, message)

    def _spread(self, message: messages.Document) -> None:
        self._history.add(message)
        for listener in self._listeners:
            listener.offer(message)

    @contextmanager
    def listening(self) -> Any:
        """Documents from now on, as an async iterator that has begun to listen.

        The iterator raises ``FellBehind`` when more than ``ROOM`` bytes wait.
        """
        with self.going_on(messages.StreamDocumentsRequest()) as (_, documents):
            yield documents

    @contextmanager
    def going_on(self, wanted: messages.StreamDocumentsRequest) -> Any:
        """The same as wanted: behind a position, or with the open run; where it begins, and the iterator.

        :raises LimitError: a position that there is not yet.
        """
        held = self._held(wanted)
        listener = _Listener()
        for document in held.documents:
            listener.offer(document)
        self._listeners.add(listener)
        try:
            yield held, self._taken(listener)
        finally:
            self._listeners.discard(listener)

    def _held(self, wanted: messages.StreamDocumentsRequest) -> Held:
        if wanted.instance and wanted.instance == self._instance:
            if wanted.since > self._history.last:
                raise LimitError(f"position {wanted.since}", hint=f"the last document has {self._history.last}")
            return self._history.since(wanted.since)
        return self._history.open_run() if wanted.open_run else Held([], self._history.last, 0)

    @staticmethod
    async def _taken(listener: _Listener) -> AsyncIterator[messages.Document]:
        while True:
            await listener.news.wait()
            listener.news.clear()
            while listener.waiting:
                document = listener.waiting.popleft()
                listener.bytes -= len(document.line)
                yield document
            if listener.behind:
                raise FellBehind(
                    f"more than {ROOM >> 20} MiB of documents were waiting for this client",
                    hint="read faster; the catalog has all of them",
                )
