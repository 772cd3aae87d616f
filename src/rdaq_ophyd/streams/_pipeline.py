"""From an instrument's driver to a file: what the event loop knows about the acquisition and writer threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, ClassVar, Protocol

from ophyd_async.core import SignalR, soft_signal_r_and_setter

from rdaq_ophyd.errors import AcquisitionInterrupted, RdaqError
from rdaq_ophyd.stop import latch, pause

from ._acquisition import Acquisition
from ._sink import StreamSink
from ._totals import Totals
from ._words import Words

logger = logging.getLogger(__name__)
LOOK = 0.1
"""Seconds between two looks at what still waits for the disk, once nothing more is taken."""


class StreamDriver(Protocol):
    """What drivers have in common."""

    label: str

    def close(self) -> None:
        """Close the instrument. Idempotent."""
        ...


class StreamPipeline[D: StreamDriver, S: StreamSink[Any], A: Acquisition[Any]](ABC):
    """What one instrument takes on its way to disk. Every method is called on the event loop.

    :param driver: of the instrument; replaced by a simulated one when the device is connected in mock mode.
    """

    words: ClassVar[Words]
    stop_timeout: ClassVar[float]
    """The SDK may take this long to start or to stop, s."""
    patience: ClassVar[float] = 2.0
    """Then an instrument that was told to stop, and does not, is freed from what it waits in, s."""
    close_timeout: ClassVar[float] = 30.0
    """Closing a file waits this long for the disk, s."""

    def __init__(self, driver: D) -> None:
        self.driver = driver
        self.written: SignalR[int]
        self.written, self._set_written = soft_signal_r_and_setter(int)
        self.lost, self._set_lost = soft_signal_r_and_setter(int)
        self.discarded, self._set_discarded = soft_signal_r_and_setter(int)
        self.sink: S | None = None
        self.totals = Totals()
        self.rows = 0
        self._generation: A | None = None
        self._number = 0
        self._failure: RdaqError | None = None
        self._unfinished = False
        self._interrupted = False
        self._over = False  # the last acquisition ended, and nobody told it to
        self._pauses = 0
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._reset()

    @abstractmethod
    def _reset(self) -> None:
        """Forget what was counted for the last file."""

    @abstractmethod
    def _count(self, acquisition: A) -> None:
        """Count what an acquisition took that has ended."""

    def _late(self) -> str:
        """The next step when nothing came in time."""
        return self.words.late

    # -- the file -------------------------------------------------------------------------------------------

    async def _open(self, make: Callable[..., S]) -> None:
        """Create the file of this stage; ``make`` is given ``on_written`` and ``on_failed``.

        :raises DataDirectoryError: it cannot be created.
        """
        await self.close()
        loop = asyncio.get_running_loop()
        sink: S = make(
            on_written=lambda rows: _on_loop(loop, self._on_written, sink, rows),
            on_failed=lambda error: _on_loop(loop, self._on_failed, error),
        )
        self._number = 0
        self._failure = None
        self._unfinished = self._over = False
        self._reset()
        self._on_rows(0, 0, 0)
        await asyncio.wrap_future(sink.open())
        self.sink = sink

    async def close(self, keep: int | None = None) -> None:
        """Stop the instrument and close the file; bounded and idempotent.

        :param keep: rows that stay in the file; those after them are discarded and counted. None for all.
        """
        await self.halt()
        async with self._lock:
            sink, self.sink = self.sink, None
            if sink is None:
                return
            self._pulse()
            closing = asyncio.wrap_future(sink.close("aborted" if self._unfinished else "complete", keep))
            try:
                await asyncio.wait_for(asyncio.shield(closing), self.close_timeout)
            except TimeoutError:
                closing.add_done_callback(lambda done: done.cancelled() or done.exception())
                logger.error(
                    "%s was not closed within %.0f s; it closes when the disk answers", sink.path, self.close_timeout
                )
            if keep is not None and keep < self.rows:
                self.rows = keep
                self._set_written(keep)
            self._set_lost(sink.lost)
            self._set_discarded(sink.discarded)
            self.totals.note(self.rows, sink.lost, sink.discarded)

    # -- acquiring ------------------------------------------------------------------------------------------

    def _ready(self, refusal: str) -> S:
        """The open file, if an acquisition may start.

        :raises StopLatched: everything was stopped.
        :raises AcquisitionInterrupted: a plan is paused.
        :raises CameraError or CardError: no file is open, or it failed.
        """
        latch.check(f"{self.driver.label}: an acquisition")
        if pause.is_set:
            raise AcquisitionInterrupted(
                f"{self.driver.label}: {refusal} while a plan is paused", hint="RE.resume() or RE.abort() first"
            )
        if self.sink is None:
            raise self.words.error(
                f"{self.driver.label}: no file is open", hint=f"stage and prepare the {self.words.device} first"
            )
        self._raise_failure()
        return self.sink

    def _begin(self, acquisition: A) -> None:
        loop = asyncio.get_running_loop()
        acquisition.done.add_done_callback(lambda _: _on_loop(loop, self._on_done, acquisition))
        self._generation = acquisition
        self._unfinished, self._interrupted = True, False
        self._over = False
        acquisition.start()
        self._pulse()

    async def halt(self) -> None:
        """Stop the instrument, also within an exposure or a block, and wait until it has stopped. Idempotent."""
        acquisition = self._generation
        if acquisition is None:
            return
        acquisition.halt.set()
        stopped = asyncio.wrap_future(acquisition.done)
        patience = self._patience(self.stop_timeout)
        await asyncio.wait({stopped}, timeout=patience)
        if not stopped.done():
            self._insist(acquisition, patience)
        try:
            await asyncio.wait_for(asyncio.shield(stopped), self.stop_timeout - patience)
        except TimeoutError:
            raise self.words.error(
                f"{self.driver.label} did not stop within {self.stop_timeout:.0f} s",
                hint="its SDK hangs: check the cable, then restart this process",
            ) from None
        self._settle(acquisition)

    def halt_soon(self) -> None:
        """Tell the instrument to stop, from any thread, without waiting for it.

        Whoever waits for what it takes gets an error, unless a plan is paused: then it comes after the pause.
        """
        if not pause.is_set:
            self._interrupted = True
        if (acquisition := self._generation) is not None:
            acquisition.halt.set()

    def excuse_stop(self) -> None:
        """Whoever waits goes on waiting: a stop that came was that of a pause, and what is missing is taken later."""
        self._interrupted = False
        self._pauses += 1

    def stopped(self, timeout: float) -> bool:
        """Wait in a thread until the instrument has stopped; False when it has not in ``timeout`` seconds."""
        acquisition = self._generation
        if acquisition is None or _ends(acquisition, patience := self._patience(timeout)):
            return True
        self._insist(acquisition, patience)
        return _ends(acquisition, timeout - patience)

    def _patience(self, timeout: float) -> float:
        """As long again at least is left for what insisting does."""
        return min(self.patience, timeout / 2)

    def _insist(self, acquisition: A, waited: float) -> None:  # noqa: B027 most instruments have nothing of the kind
        """It was told to stop, and has not: free its thread where the instrument can; from any thread, at once."""

    async def wait_idle(self) -> None:
        """Wait until all that was armed for has come.

        :raises CameraError or CardError: the instrument failed.
        """
        if (acquisition := self._generation) is not None:
            await asyncio.wrap_future(acquisition.done)
            self._settle(acquisition)
        self._raise_failure()

    async def rewind(self, rows: int) -> None:
        """End the generation: stop the instrument, discard and count what it took after the first ``rows``."""
        if self.sink is None:
            await self.halt()
            return
        self._number += 1
        truncated = self.sink.truncate(rows, self._number)  # first: it also frees a thread that waits for room
        await self.halt()
        await asyncio.wrap_future(truncated)
        self._on_rows(rows, self.sink.lost, self.sink.discarded)

    @property
    def acquiring(self) -> bool:
        """Whether the instrument is acquiring, or waiting for its trigger."""
        return self._generation is not None

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped since it began to acquire, but for a pause."""
        return self._interrupted

    async def progress(self, target: int, timeout: float) -> AsyncIterator[int]:
        """The number of readable rows at each change until it reaches ``target``.

        :param timeout: longest time between two rows, s. One that a pause stopped may wait.
        :raises CameraError or CardError: the instrument failed, nothing came in time, or nothing more will come.
        :raises AcquisitionInterrupted: it was stopped.
        :raises DataDirectoryError: the file could not be written.
        """
        sink = self.sink
        pauses, rows, since = self._pauses, -1, 0.0
        while sink is self.sink:  # closed: whoever waited is done, as after stop(success=True)
            changed = self._changed
            self._raise_failure()
            if rows != self.rows:
                rows, since = self.rows, time.monotonic()
                yield rows
            if self.rows >= target:
                return
            if self._interrupted and self._unfinished and not self.acquiring:
                raise AcquisitionInterrupted(
                    f"{self.driver.label}: stopped after {self.rows} of {target} {self.words.items}"
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(timeout, LOOK) if self._over else timeout)
            if not changed.is_set() and (self.acquiring or pauses == self._pauses):
                self._check_silence(sink, target, timeout, time.monotonic() - since)

    def _check_silence(self, sink: S | None, target: int, timeout: float, silent: float) -> None:
        """Nothing new is readable: whoever waits goes on only where something can still come.

        :param silent: for how long, s.
        """
        label, words, came = self.driver.label, self.words, f"{self.rows} of {target}"
        if self.acquiring:
            if sink is not None:
                self._set_lost(sink.lost)
            raise words.error(f"{label}: no {words.item} within {timeout:g} s ({came} written)", hint=self._late())
        if pause.is_set:
            return
        if sink is not None and not sink.idle:
            if silent < max(timeout, self.close_timeout):
                return
            raise words.error(
                f"{label}: {came} {words.items} were written, and none for {silent:.0f} s", hint="check the disk"
            )
        raise words.error(
            f"{label}: its acquisition has ended after {came} {words.items}",
            hint="what came is in the file; prepare it for the others, or for all of them anew",
        )

    # -- news from the threads ------------------------------------------------------------------------------

    def _on_written(self, sink: S, rows: int) -> None:
        if sink is self.sink:
            self._on_rows(rows, sink.lost, sink.discarded)

    def _on_rows(self, rows: int, lost: int, discarded: int) -> None:
        self.rows = rows
        self._set_written(rows)
        self._set_lost(lost)
        self._set_discarded(discarded)
        self.totals.note(rows, lost, discarded)
        self._pulse()

    def _on_failed(self, error: RdaqError) -> None:
        self._failure = self._failure or error
        if self._generation is not None:
            self._generation.halt.set()
        self._pulse()

    def _on_done(self, acquisition: A) -> None:
        if acquisition.failure is not None:
            self._on_failed(acquisition.failure)
        self._settle(acquisition)

    def _settle(self, acquisition: A) -> None:
        if self._generation is acquisition:
            self._generation = None
            self._unfinished = not acquisition.complete
            self._over = not acquisition.halt.is_set()
            if acquisition.failure is not None:
                self._failure = self._failure or acquisition.failure
            self._count(acquisition)
            self._pulse()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _pulse(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _ends(acquisition: Acquisition[Any], timeout: float) -> bool:
    try:
        acquisition.done.result(timeout)
    except FutureTimeout:
        return False
    return True


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
    """Call something on the event loop from a thread; a loop that has ended wants no more news."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        logger.debug("the event loop ended before %s%r", call.__name__, args)
