"""What this process logs, for clients: the last lines, then each as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections import deque
from collections.abc import AsyncGenerator

from rdaq_ophyd.wire import messages

KEPT = 500
"""Lines; whoever reads more slowly than they come misses the oldest, which their numbers tell."""
CHARACTERS = 2000
"""Of a line."""


class LogLines(logging.Handler):
    """Takes what the root logger lets through, from ``INFO`` on, in any thread.

    :param loop: on which the listeners are served.
    :param instance: of the server; the number of a line is of no use with another one's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, instance: str) -> None:
        super().__init__(logging.INFO)
        self._loop, self._instance = loop, instance
        self._lines: deque[messages.LogLine] = deque(maxlen=KEPT)
        self._last = 0
        self._listeners: set[asyncio.Event] = set()
        logging.getLogger().addHandler(self)

    def close(self) -> None:
        """Take no more."""
        logging.getLogger().removeHandler(self)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; returns at once."""
        try:
            line = _line(record)
        except Exception:  # noqa: BLE001 a message that does not fit its arguments: logging's own way to say so
            self.handleError(record)
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all listeners
            self._loop.call_soon_threadsafe(self._add, line)

    def _add(self, line: messages.LogLine) -> None:
        self._last += 1
        line.number = self._last
        self._lines.append(line)
        for news in self._listeners:
            news.set()

    def where(self, request: messages.WatchLogRequest) -> tuple[int, int]:
        """Behind which number a stream begins, and how many lines behind the wanted one are not kept any more."""
        kept = self._last - len(self._lines)
        if request.instance != self._instance:
            return kept, 0
        since = self._since(request)
        return max(since, kept), max(0, kept - since)

    def _since(self, request: messages.WatchLogRequest) -> int:
        return min(request.since, self._last) if request.instance == self._instance else 0

    async def follow(self, request: messages.WatchLogRequest) -> AsyncGenerator[messages.LogLine]:
        """The lines that are kept, or those behind a number, and all that come."""
        seen = self._since(request)
        news = asyncio.Event()
        self._listeners.add(news)
        try:
            while True:
                for line in [each for each in self._lines if each.number > seen]:
                    seen = line.number
                    yield line
                if seen == self._last:
                    news.clear()
                    await news.wait()
        finally:
            self._listeners.discard(news)


def _line(record: logging.LogRecord) -> messages.LogLine:
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        text = f"{text}: {traceback.format_exception_only(record.exc_info[1])[-1].strip()}"
    text = text.encode(errors="replace").decode()  # a lone surrogate does not travel
    return messages.LogLine(time=record.created, level=record.levelname, logger=record.name, text=text[:CHARACTERS])
