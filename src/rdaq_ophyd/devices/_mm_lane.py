"""One thread for each library of device adapters: calls into it one after another, none that waits without a bound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Full, Queue
from typing import Any

from rdaq_ophyd.errors import MicroManagerError

DEPTH = 64
"""Calls that may wait; more are refused."""


class Lane:
    """Runs calls into one adapter library.

    MMCore lets only one call at a time into a library, and pymmcore takes some of the locks for that with Python's own
    lock held: then the whole process waits. Whoever calls from another thread holds ``lock``.

    :param library: name of the adapter library, for messages.
    """

    def __init__(self, library: str) -> None:
        self.library = library
        self.lock = threading.Lock()
        self._calls: Queue[tuple[Future[Any], Callable[[], Any]] | None] = Queue(DEPTH)
        self._thread = threading.Thread(target=self._run, name=f"micromanager {library}", daemon=True)
        self._thread.start()

    def submit[T](self, call: Callable[[], T]) -> Future[T]:
        """Run ``call`` when all before it have ended; cancelling the future takes it back while it waits.

        :raises MicroManagerError: too many wait.
        """
        future: Future[T] = Future()
        try:
            self._calls.put_nowait((future, call))
        except Full:
            raise MicroManagerError(
                f"{self.library}: {DEPTH} calls wait for this adapter library",
                hint="one of its devices does not return from a call; check its controller",
            ) from None
        return future

    def call[T](self, call: Callable[[], T], timeout: float) -> T:
        """The result of ``call``, from any thread but the lane's own.

        :raises MicroManagerError: not within ``timeout`` seconds; what waited until then is never sent.
        """
        future = self.submit(call)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise self._late(timeout) from None

    async def ask[T](self, call: Callable[[], T], timeout: float) -> T:
        """The same on an event loop."""
        future = self.submit(call)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise self._late(timeout) from None
        finally:
            future.cancel()

    def close(self, timeout: float) -> bool:
        """End the thread after the calls that wait; False when it has not ended in ``timeout`` seconds."""
        try:
            self._calls.put(None, timeout=timeout)
        except Full:
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _late(self, timeout: float) -> MicroManagerError:
        return MicroManagerError(
            f"{self.library}: Micro-Manager did not answer within {timeout:g} s",
            hint="a call into this adapter library blocks; check the device's controller and cable",
        )

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                with self.lock:
                    result = call()
            except BaseException as error:  # noqa: BLE001  it reaches whoever asked
                future.set_exception(error)
            else:
                future.set_result(result)
            del item, future, call
