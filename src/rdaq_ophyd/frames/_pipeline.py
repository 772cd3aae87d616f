"""From a camera's driver to a file: what the event loop knows about the acquisition and writer threads."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any, NamedTuple

from ophyd_async.core import SignalR, soft_signal_r_and_setter

from rdaq_ophyd.errors import AcquisitionInterrupted, CameraError, RdaqError
from rdaq_ophyd.stop import latch, pause

from ._compression import Compression
from ._driver import CameraDriver
from ._records import DetectorRecord, FrameRecord
from ._sink import FrameSink
from ._statistics import Statistics, frame_statistics
from ._tap import FanOut

logger = logging.getLogger(__name__)
# How long the acquisition thread waits for a frame before it looks whether it should stop, s.
_POLL = 0.02
# A buffer that is out for longer is named in a warning, s.
_OVERDUE = 10.0
# A camera's SDK may take this long to stop, s.
_STOP_TIMEOUT = 30.0
# Closing a file waits this long for the disk, s.
_CLOSE_TIMEOUT = 30.0


class Latest(NamedTuple):
    """The frame taken last."""

    statistics: Statistics
    host_time: float


class _Generation(threading.Thread):
    """One acquisition: ``count`` frames (0: until halted) from the driver into the sink."""

    def __init__(
        self, driver: CameraDriver, sink: FrameSink, fan: FanOut, number: int, count: int, period: float, base: int
    ) -> None:
        super().__init__(name=f"frames-camera {driver.label}", daemon=True)
        self.driver, self.sink, self.number, self.count, self.period = driver, sink, number, count, period
        self.fan, self.base = fan, base
        self.expected = 0
        self.delivered = 0
        self.last: Latest | None = None
        self.failure: RdaqError | None = None
        self.halt = threading.Event()
        self.started: Future[None] = Future()
        self.done: Future[None] = Future()

    def run(self) -> None:
        try:
            if self._wanted():  # a stop may have come since it was asked for
                self._take()
        except Exception as error:  # noqa: BLE001  it reaches the status that waits for the frames
            self.failure = _camera_error(error, self.driver.label)
        if not self.started.done():
            self.started.set_result(None)
        self.done.set_result(None)

    def _take(self) -> None:
        self.driver.start(self.period)
        self.started.set_result(None)
        try:
            while self._wanted():
                self._next()
        finally:
            self.driver.stop()

    def _wanted(self) -> bool:
        if self.halt.is_set() or pause.is_set or latch.tripped:
            return False
        return self.count == 0 or self.delivered < self.count

    def _next(self) -> None:
        self.driver.book.warn_overdue(_OVERDUE)
        ref = self.driver.next_frame(_POLL)
        if ref is None:
            return
        try:
            self.sink.lost += ref.sequence - self.expected
            self.expected = ref.sequence + 1
            host_time, statistics = ref.host_time, frame_statistics(ref.array)
            record = FrameRecord(ref, statistics, self.base + ref.sequence, self.driver.exposure())
            self.fan.offer(ref, self.base)
        except BaseException:
            ref.release()
            raise
        if self.sink.put(record, self.number, self.halt):
            self.delivered += 1
            self.last = Latest(statistics, host_time)
        else:
            self.halt.set()


def _camera_error(error: Exception, label: str) -> RdaqError:
    if isinstance(error, RdaqError):
        return error
    wrapped = CameraError(f"{label}: {error}", hint="check cable and power; `rdaq doctor` lists the cameras found")
    wrapped.__cause__ = error
    return wrapped


class FramePipeline:
    """The frames of one camera on their way to disk. Every method is called on the event loop.

    :param driver: the camera; replaced by a synthetic one when the device is connected in mock mode.
    :param depth: frames that may wait for the disk.
    """

    def __init__(self, driver: CameraDriver, *, depth: int = 8) -> None:
        self.driver = driver
        self.depth = depth
        self.compression = Compression.NONE
        self.written: SignalR[int]
        self.written, self._set_written = soft_signal_r_and_setter(int)
        self.lost, self._set_lost = soft_signal_r_and_setter(int)
        self.discarded, self._set_discarded = soft_signal_r_and_setter(int)
        self.fan = FanOut()
        self.sink: FrameSink | None = None
        self.rows = 0
        self.latest: Latest | None = None
        self._generation: _Generation | None = None
        self._number = 0
        self._sequence = 0
        self._failure: RdaqError | None = None
        self._unfinished = False
        self._interrupted = False
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()

    # -- the file -------------------------------------------------------------------------------------------

    async def open(self, path: Path, record: DetectorRecord) -> None:
        """Create the file of this stage.

        :raises DataDirectoryError: it cannot be created.
        """
        await self.close()
        loop = asyncio.get_running_loop()
        sink = FrameSink(
            path,
            record,
            depth=self.depth,
            on_written=lambda rows: _on_loop(loop, self._on_written, sink, rows),
            on_failed=lambda error: _on_loop(loop, self._on_failed, error),
        )
        self._number = self._sequence = 0
        self._failure = self.latest = None
        self._unfinished = False
        self._on_rows(0, 0, 0)
        await asyncio.wrap_future(sink.open())
        self.sink = sink

    async def close(self) -> None:
        """Stop the camera and close the file; bounded and idempotent."""
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

    async def arm(self, count: int, period: float) -> None:
        """Start acquiring exactly ``count`` frames (0: until halted) into the open file.

        :param period: seconds from frame to frame, 0 for as fast as the camera can.
        :raises StopLatched: everything was stopped.
        :raises AcquisitionInterrupted: a plan is paused.
        """
        await self.halt()
        latch.check(f"{self.driver.label}: an acquisition")
        if pause.is_set:
            raise AcquisitionInterrupted(
                f"{self.driver.label}: no frame is taken while a plan is paused", hint="RE.resume() or RE.abort() first"
            )
        if self.sink is None:
            raise CameraError(f"{self.driver.label}: no file is open", hint="stage and prepare the camera first")
        self._raise_failure()
        loop = asyncio.get_running_loop()
        generation = _Generation(
            self.driver, self.sink, self.fan, number=self._number, count=count, period=period, base=self._sequence
        )
        generation.done.add_done_callback(lambda _: _on_loop(loop, self._on_done, generation))
        self._generation = generation
        self._unfinished, self._interrupted = True, False
        generation.start()
        self._pulse()

    async def wait_started(self) -> None:
        """Wait until the camera acquires, or will not: from then on it sees edges."""
        if (generation := self._generation) is not None:
            await asyncio.wrap_future(generation.started)

    async def halt(self) -> None:
        """Stop the camera, also within an exposure, and wait until it has stopped. Idempotent."""
        generation = self._generation
        if generation is None:
            return
        generation.halt.set()
        stopped = asyncio.shield(asyncio.wrap_future(generation.done))
        try:
            await asyncio.wait_for(stopped, _STOP_TIMEOUT)
        except TimeoutError:
            raise CameraError(
                f"{self.driver.label} did not stop within {_STOP_TIMEOUT:.0f} s",
                hint="its SDK hangs: check the cable, then restart this process",
            ) from None
        self._settle(generation)

    async def finish(self) -> None:
        """End an endless acquisition as it was meant to end."""
        await self.halt()
        self._unfinished = self._interrupted

    async def settle_rows(self) -> None:
        """After a stop: wait until the camera has stopped and the frames that it took are in the file, 30 s each.

        :raises CameraError: it does not stop.
        """
        if self._generation is not None and self._generation.halt.is_set():
            await self.halt()
        sink = self.sink
        if not self.acquiring and sink is not None and not sink.idle:
            await asyncio.to_thread(sink.drain, _CLOSE_TIMEOUT)

    def halt_soon(self) -> None:
        """Tell the camera to stop, from any thread, without waiting for it.

        Whoever waits for its frames gets an error, unless a plan is paused: then they come after the pause.
        """
        if not pause.is_set:
            self._interrupted = True
        if (generation := self._generation) is not None:
            generation.halt.set()

    def stopped(self, timeout: float) -> bool:
        """Wait in a thread until the camera has stopped; False when it has not in ``timeout`` seconds."""
        generation = self._generation
        if generation is None:
            return True
        try:
            generation.done.result(timeout)
        except FutureTimeout:
            return False
        return True

    async def wait_idle(self) -> None:
        """Wait until the armed frames have come.

        :raises CameraError: the camera failed.
        """
        if (generation := self._generation) is not None:
            await asyncio.wrap_future(generation.done)
            self._settle(generation)
        self._raise_failure()

    async def rewind(self, rows: int) -> None:
        """End the generation: stop the camera, discard and count the frames after the first ``rows``."""
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
        """Whether the camera is taking frames."""
        return self._generation is not None

    async def progress(self, target: int, timeout: float) -> AsyncIterator[int]:
        """The number of readable rows at each change until it reaches ``target``.

        :param timeout: longest time between two frames while the camera acquires, s. A paused camera may wait.
        :raises CameraError: the camera failed, or no frame came in time.
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
                raise AcquisitionInterrupted(f"{self.driver.label}: stopped after {self.rows} of {target} frames")
            try:
                await asyncio.wait_for(changed.wait(), timeout)
            except TimeoutError:
                if not self.acquiring:
                    continue
                raise CameraError(
                    f"{self.driver.label}: no frame within {timeout:g} s ({self.rows} of {target} written)",
                    hint="check trigger, exposure and cable",
                ) from None

    # -- news from the threads ------------------------------------------------------------------------------

    def _on_written(self, sink: FrameSink, rows: int) -> None:
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

    def _on_done(self, generation: _Generation) -> None:
        if generation.failure is not None:
            self._on_failed(generation.failure)
        self._settle(generation)

    def _settle(self, generation: _Generation) -> None:
        if self._generation is generation:
            self._generation = None
            self.latest = generation.last or self.latest
            self._sequence += generation.expected
            self._unfinished = generation.count == 0 or generation.delivered < generation.count
            if generation.failure is not None:
                self._failure = self._failure or generation.failure
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
