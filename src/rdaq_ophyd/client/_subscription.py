"""Documents for a callback, in threads of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque

from rdaq_ophyd.errors import RdaqError

from ._documents import Document
from ._gap import Gap
from ._lag import MOST, Callback, Lag, OnBehind, failed
from ._streams import LastingStream

logger = logging.getLogger(__name__)
END = 10.0
"""Seconds that the callback gets at the end for what has arrived."""
REMEMBERED = 100
"""Runs whose end is remembered."""


class Subscription:
    """Gives all documents to a callback: one thread reads, one calls, so that a slow callback holds nobody up.

    Call it to end it. A callback that raises is logged, and gets the next document.

    :ivar error: why no more documents come; None while they do.
    """

    def __init__(self, stream: LastingStream[Document], callback: Callback, on_behind: OnBehind | None) -> None:
        self._stream, self._callback = stream, callback
        self._lag = Lag(callback, on_behind)
        self._waiting: deque[Document] = deque()
        self._news = threading.Condition()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._read_all = self._given_all = self._dropped = False
        self.error: RdaqError | None = None
        self._threads = [
            threading.Thread(target=work, name=f"remote-documents-{what}", daemon=True)
            for what, work in (("read", self._read), ("give", self._give))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def behind(self) -> int:
        """Documents that arrived, and wait for the callback."""
        return len(self._waiting)

    @property
    def gaps(self) -> list[Gap]:
        """What was missed while the connection was cut."""
        return self._stream.gaps

    def wait(self, run_uid: str, timeout: float = END) -> bool:
        """Wait until the callback has had all of a run; False when ``timeout`` seconds were not enough."""
        with self._news:
            self._news.wait_for(lambda: run_uid in self._ended or self._given_all, timeout)
            return run_uid in self._ended

    def __call__(self) -> None:
        """End it; what has arrived is given to the callback, within a bounded time."""
        end = time.monotonic() + END
        self._stream.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))
        with self._news:
            self._dropped = True
            self._news.notify_all()

    def leave(self) -> None:
        """End it, and wait for nothing."""
        self._stream.close()

    def _read(self) -> None:
        try:
            for item in self._stream:
                with self._news:
                    self._news.wait_for(lambda: len(self._waiting) < MOST or self._dropped)
                    self._waiting.append(item)
                    waiting = len(self._waiting)
                    self._news.notify_all()
                self._lag.note(waiting)
        except RdaqError as error:
            self.error = error
            logger.error("no more documents for %r: %s", self._callback, error)
        finally:
            with self._news:
                self._read_all = True
                self._news.notify_all()

    def _give(self) -> None:
        while (item := self._next()) is not None:
            name, document = item
            try:
                self._callback(name, document)
            except Exception:  # noqa: BLE001 a failing plot must not end the others; told in the log
                failed(self._callback, name)
            if name == "stop":
                self._over(document["run_start"])

    def _next(self) -> Document | None:
        """The next document; None at the end."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._read_all or self._dropped)
            self._given_all = self._dropped or not self._waiting
            self._news.notify_all()
            return None if self._given_all else self._waiting.popleft()

    def _over(self, run_uid: str) -> None:
        with self._news:
            self._ended[run_uid] = None
            while len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)
            self._news.notify_all()
