"""Documents for a callback, in a task of its own."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from rdaq_ophyd.client._documents import Document
from rdaq_ophyd.client._gap import Gap
from rdaq_ophyd.client._lag import MOST, Callback, Lag, OnBehind, failed
from rdaq_ophyd.client._subscription import END, REMEMBERED, Subscription
from rdaq_ophyd.errors import RdaqError

from ._streams import AsyncLastingStream
from ._words import same_words

logger = logging.getLogger(__name__)


@same_words(Subscription)
class AsyncSubscription:
    """Gives all documents to a callback: a coroutine function is awaited, another one called in a thread of its own.

    ``await subscription()`` ends it. A callback that raises is logged, and gets the next document.

    :ivar error: why no more documents come; None while they do.
    """

    def __init__(self, stream: AsyncLastingStream[Document], callback: Callback, on_behind: OnBehind | None) -> None:
        self._stream, self._callback = stream, callback
        self._lag = Lag(callback, on_behind)
        self._waiting: asyncio.Queue[Document | None] = asyncio.Queue(MOST)
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._news = asyncio.Condition()
        self._thread = ThreadPoolExecutor(1, "remote-documents")  # always the same: plots want that
        self.error: RdaqError | None = None
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._give())]

    @property
    def behind(self) -> int:
        return self._waiting.qsize()

    @property
    def gaps(self) -> list[Gap]:
        return self._stream.gaps

    async def wait(self, run_uid: str, timeout: float = END) -> bool:
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(lambda: run_uid in self._ended or self._tasks[1].done())
        except TimeoutError:
            pass
        return run_uid in self._ended

    async def __call__(self) -> None:
        await self._stream.close()
        try:
            await asyncio.wait(self._tasks, timeout=END)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def leave(self) -> None:
        await self._stream.close()

    async def _read(self) -> None:
        try:
            async for item in self._stream:
                await self._waiting.put(item)
                self._lag.note(self._waiting.qsize())
        except RdaqError as error:
            self.error = error
            logger.error("no more documents for %r: %s", self._callback, error)
        finally:
            await self._waiting.put(None)

    async def _give(self) -> None:
        loop = asyncio.get_running_loop()
        while (item := await self._waiting.get()) is not None:
            name, document = item
            try:
                if inspect.iscoroutinefunction(self._callback):
                    await self._callback(name, document)
                else:
                    await loop.run_in_executor(self._thread, self._callback, name, document)
            except Exception:  # noqa: BLE001 a failing plot must not end the others; told in the log
                failed(self._callback, name)
            if name == "stop":
                await self._over(document["run_start"])

    async def _over(self, run_uid: str) -> None:
        async with self._news:
            self._ended[run_uid] = None
            while len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)
            self._news.notify_all()
