"""From a camera's driver to a file: what the event loop knows about the acquisition and writer threads."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial
from pathlib import Path

from rdaq_ophyd.streams import StreamPipeline

from ._compression import Compression
from ._driver import CameraDriver, Interruptible
from ._generation import Generation, Latest
from ._records import DetectorRecord
from ._sink import FrameSink
from ._tap import FanOut
from ._words import WORDS

logger = logging.getLogger(__name__)


class FramePipeline(StreamPipeline[CameraDriver, FrameSink, Generation]):
    """The frames of one camera on their way to disk. Every method is called on the event loop.

    :param driver: the camera; replaced by a synthetic one when the device is connected in mock mode.
    :param depth: frames that may wait for the disk.
    """

    words = WORDS
    stop_timeout = 30.0

    def __init__(self, driver: CameraDriver, *, depth: int = 8) -> None:
        super().__init__(driver)
        self.depth = depth
        self.compression = Compression.NONE
        self.fan = FanOut()
        self._interrupting = threading.Lock()

    def _reset(self) -> None:
        self.latest: Latest | None = None
        self._sequence = 0

    def _count(self, acquisition: Generation) -> None:
        self.latest = acquisition.last or self.latest
        self._sequence += acquisition.expected

    def _late(self) -> str:
        acquisition = self._generation
        missing = acquisition.missing if acquisition is not None else 0
        told = [f"the camera has lost {missing} frames since the last one"] if missing else []
        holders = self.driver.book.holders().items()
        told += [f"{holder} holds {count} of its buffers, and should release them" for holder, count in holders]
        return "; ".join([*told, super()._late()])

    def _insist(self, acquisition: Generation, waited: float) -> None:
        if not isinstance(driver := self.driver, Interruptible) or not self._interrupting.acquire(blocking=False):
            return  # or somebody breaks it off already
        try:
            logger.warning("%s has not stopped within %g s: its wait for a frame is broken off", driver.label, waited)
            args = (driver, acquisition, self._interrupting)
            threading.Thread(target=_interrupt, args=args, name="camera-interrupt", daemon=True).start()
        except BaseException:
            self._interrupting.release()
            raise

    async def open(self, path: Path, record: DetectorRecord) -> None:
        """Create the file of this stage.

        :raises DataDirectoryError: it cannot be created.
        """
        await self._open(partial(FrameSink, path, record, depth=self.depth))

    async def arm(self, count: int, period: float) -> None:
        """Start acquiring exactly ``count`` frames (0: until halted) into the open file.

        :param period: seconds from frame to frame, 0 for as fast as the camera can.
        :raises StopLatched: everything was stopped.
        :raises AcquisitionInterrupted: a plan is paused.
        :raises CameraError: no file is open, or the camera failed.
        """
        await self.halt()
        sink = self._ready("no frame is taken")
        within = (self._number, count, period, self._sequence)
        self._begin(Generation(self.driver, sink, self.fan, *within, self._interrupting))

    async def wait_started(self) -> None:
        """Wait until the camera acquires, or will not: from then on it sees edges."""
        if (generation := self._generation) is not None:
            await asyncio.wrap_future(generation.started)

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
            await asyncio.to_thread(sink.drain, self.close_timeout)


def _interrupt(driver: Interruptible, acquisition: Generation, held: threading.Lock) -> None:
    """In a thread of its own: an SDK that hangs may hang here, too.

    :param acquisition: that is to end; when it has, the next one is none of our business.
    :param held: released at the end.
    """
    try:
        if not acquisition.done.done():
            driver.interrupt()
    except Exception:  # it is told, and the time-out of the stop says the rest
        logger.exception("breaking off the wait for a frame")
    finally:
        held.release()
