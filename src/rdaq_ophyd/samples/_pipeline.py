"""From a card's driver to a file: what the event loop knows about the acquisition and writer threads."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

from ophyd_async.core import SignalR, soft_signal_r_and_setter

from rdaq_ophyd.errors import AcquisitionInterrupted, CardError, RdaqError
from rdaq_ophyd.stop import latch, pause

from ._driver import AnalogDriver
from ._format import StartTrigger
from ._generation import Generation, Latest, Order
from ._records import CardRecord
from ._sink import SampleSink

logger = logging.getLogger(__name__)
# A card's SDK may take this long to arm or to stop, s.
_STOP_TIMEOUT = 10.0
# Closing a file waits this long for the disk, s.
_CLOSE_TIMEOUT = 30.0
# Blocks in memory: what comes in this time (s), but no fewer and no more than these numbers.
_BUFFERED, _FEWEST, _MOST = 2.0, 4, 256


class SamplePipeline:
    """The samples of one card on their way to disk. Every method is called on the event loop.

    :param driver: the card; replaced by a simulated one when the device is connected in mock mode.
    """

    def __init__(self, driver: AnalogDriver) -> None:
        self.driver = driver
        self.written: SignalR[int]
        self.written, self._set_written = soft_signal_r_and_setter(int)
        self.lost, self._set_lost = soft_signal_r_and_setter(int)
        self.discarded, self._set_discarded = soft_signal_r_and_setter(int)
        self.sink: SampleSink | None = None
        self.rows = 0
        self.latest: Latest | None = None
        self._generation: Generation | None = None
        self._number = self._arms = self._taken = 0
        self._handed = 0  # blocks that the card gave and nobody took back: so many will be readable
        self._failure: RdaqError | None = None
        self._unfinished = False
        self._interrupted = False
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()

    # -- the file -------------------------------------------------------------------------------------------

    async def open(self, path: Path, record: CardRecord) -> None:
        """Create the file of this stage.

        :raises DataDirectoryError: it cannot be created.
        """
        await self.close()
        loop = asyncio.get_running_loop()
        sink = SampleSink(
            path,
            record,
            depth=min(_MOST, max(_FEWEST, math.ceil(_BUFFERED * record.rate / record.form.samples))),
            on_written=lambda rows: _on_loop(loop, self._on_written, sink, rows),
            on_failed=lambda error: _on_loop(loop, self._on_failed, error),
        )
        self._number = self._arms = self._taken = self._handed = 0
        self._failure = self.latest = None
        self._unfinished = False
        self._on_rows(0, 0, 0)
        await asyncio.wrap_future(sink.open())
        self.sink = sink

    async def close(self) -> None:
        """Stop the card and close the file; bounded and idempotent."""
        await self.halt()
        async with self._lock:
            sink, self.sink = self.sink, None
            if sink is None:
                return
            self._pulse()
            closing = asyncio.wrap_future(sink.close("aborted" if self._unfinished else "complete"))
            try:
                await asyncio.wait_for(asyncio.shield(closing), _CLOSE_TIMEOUT)
            except TimeoutError:
                closing.add_done_callback(lambda done: done.cancelled() or done.exception())
                logger.error(
                    "%s was not closed within %.0f s; it closes when the disk answers", sink.path, _CLOSE_TIMEOUT
                )
            self._set_discarded(sink.discarded)

    # -- acquiring ------------------------------------------------------------------------------------------

    async def arm(self, count: int, trigger: StartTrigger, skip: int = 0) -> None:
        """Begin to take exactly ``count`` blocks (0: until halted) into the open file.

        On return the card samples, or waits for its external trigger.

        :param skip: samples between two blocks that are not kept.
        :raises StopLatched: everything was stopped.
        :raises AcquisitionInterrupted: a plan is paused.
        :raises CardError: no file is open, or the card cannot be armed.
        """
        await self.rest()
        label = self.driver.label
        latch.check(f"{label}: an acquisition")
        if pause.is_set:
            raise AcquisitionInterrupted(
                f"{label}: nothing is sampled while a plan is paused", hint="RE.resume() or RE.abort() first"
            )
        if self.sink is None:
            raise CardError(f"{label}: no file is open", hint="stage and prepare the analog input first")
        self._raise_failure()
        order = Order(self._number, count, trigger, self._taken, self._arms, skip)
        self._arms += 1
        loop = asyncio.get_running_loop()
        generation = Generation(self.driver, self.sink, order)
        generation.done.add_done_callback(lambda _: _on_loop(loop, self._on_done, generation))
        self._generation = generation
        self._unfinished, self._interrupted = True, False
        generation.start()
        self._pulse()
        armed = asyncio.shield(asyncio.wrap_future(generation.armed))
        try:
            await asyncio.wait_for(armed, _STOP_TIMEOUT)
        except TimeoutError:
            generation.halt.set()
            raise CardError(f"{label} was not armed within {_STOP_TIMEOUT:.0f} s", hint="its SDK hangs") from None
        if generation.failure is not None:
            raise generation.failure

    async def halt(self) -> None:
        """Stop the card, also within a block, and wait until it has stopped. Idempotent."""
        generation = self._generation
        if generation is None:
            return
        generation.halt.set()
        stopped = asyncio.shield(asyncio.wrap_future(generation.done))
        try:
            await asyncio.wait_for(stopped, _STOP_TIMEOUT)
        except TimeoutError:
            raise CardError(
                f"{self.driver.label} did not stop within {_STOP_TIMEOUT:.0f} s",
                hint="its SDK hangs: check the cable, then restart this process",
            ) from None
        self._settle(generation)

    async def rest(self) -> None:
        """Stop the card, and wait until every block that it gave is readable.

        :raises CardError: the disk takes too long.
        """
        await self.halt()
        sink = self.sink
        while sink is self.sink and self._failure is None and self.rows < self._handed:
            try:
                await asyncio.wait_for(self._changed.wait(), _CLOSE_TIMEOUT)
            except TimeoutError:
                raise CardError(
                    f"{self.driver.label}: {self._handed - self.rows} blocks not written in {_CLOSE_TIMEOUT:.0f} s",
                    hint="check the disk",
                ) from None

    async def end(self) -> None:
        """Stop the card because enough was taken: the file is complete."""
        await self.rest()
        self._unfinished = False

    def halt_soon(self) -> None:
        """Tell the card to stop, from any thread, without waiting for it.

        Whoever waits for its blocks gets an error, unless a plan is paused: then they come after the pause.
        """
        if not pause.is_set:
            self._interrupted = True
        if (generation := self._generation) is not None:
            generation.halt.set()

    def stopped(self, timeout: float) -> bool:
        """Wait in a thread until the card has stopped; False when it has not in ``timeout`` seconds."""
        generation = self._generation
        if generation is None:
            return True
        try:
            generation.done.result(timeout)
        except FutureTimeout:
            return False
        return True

    async def wait_idle(self) -> None:
        """Wait until the armed blocks have come.

        :raises CardError: the card failed.
        """
        if (generation := self._generation) is not None:
            await asyncio.wrap_future(generation.done)
            self._settle(generation)
        self._raise_failure()

    async def rewind(self, rows: int) -> None:
        """End the generation: stop the card, discard and count what came after the first ``rows`` blocks."""
        if self.sink is None:
            await self.halt()
            return
        self._number += 1
        truncated = self.sink.truncate(rows, self._number)
        await self.halt()
        await asyncio.wrap_future(truncated)
        self._handed = rows
        self._on_rows(rows, self.sink.lost, self.sink.discarded)

    @property
    def acquiring(self) -> bool:
        """Whether the card is sampling, or waiting for its trigger."""
        return self._generation is not None

    async def progress(self, target: int, timeout: float) -> AsyncIterator[int]:
        """The number of readable blocks at each change until it reaches ``target``.

        :param timeout: longest time between two blocks while the card is armed, s. A paused one may wait.
        :raises CardError: the card failed, or no block came in time.
        :raises AcquisitionInterrupted: it was stopped.
        :raises DataDirectoryError: the file could not be written.
        """
        sink = self.sink
        while sink is self.sink:  # closed: whoever waited is done, as after stop(success=True)
            changed = self._changed
            self._raise_failure()
            yield self.rows
            if self.rows >= target:
                return
            if self._interrupted and self._unfinished and not self.acquiring:
                raise AcquisitionInterrupted(f"{self.driver.label}: stopped after {self.rows} of {target} blocks")
            try:
                await asyncio.wait_for(changed.wait(), timeout)
            except TimeoutError:
                if not self.acquiring:
                    continue
                raise CardError(
                    f"{self.driver.label}: no block within {timeout:g} s ({self.rows} of {target} written)",
                    hint="check trigger, rate and cable",
                ) from None

    # -- news from the threads ------------------------------------------------------------------------------

    def _on_written(self, sink: SampleSink, rows: int) -> None:
        if sink is self.sink:
            self._on_rows(rows, sink.lost, sink.discarded)

    def _on_rows(self, rows: int, lost: int, discarded: int) -> None:
        self.rows = rows
        self._set_written(rows)
        self._set_lost(lost)
        self._set_discarded(discarded)
        self._pulse()

    def _on_failed(self, error: RdaqError) -> None:
        self._failure = self._failure or error
        if self._generation is not None:
            self._generation.halt.set()
        self._pulse()

    def _on_done(self, generation: Generation) -> None:
        if generation.failure is not None:
            self._on_failed(generation.failure)
        self._settle(generation)

    def _settle(self, generation: Generation) -> None:
        if self._generation is generation:
            self._generation = None
            self.latest = generation.last or self.latest
            self._taken += generation.taken
            self._handed += generation.delivered
            self._unfinished = not generation.complete
            if generation.failure is not None:
                self._failure = self._failure or generation.failure
            if self.sink is not None:
                self._set_lost(self.sink.lost)
                self._set_discarded(self.sink.discarded)
            self._pulse()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _pulse(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
    """Call something on the event loop from a thread; a loop that has ended wants no more news."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        logger.debug("the event loop ended before %s%r", call.__name__, args)
