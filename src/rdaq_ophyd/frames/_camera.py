"""A camera as a StandardDetector: step scans, fly scans, pause and resume with no frame too many or too few."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from bluesky.protocols import Hints, Reading, StreamAsset
from bluesky.utils import NoReplayAllowed
from event_model import DataKey
from numpy.typing import NDArray
from ophyd_async.core import (
    AsyncStatus,
    DetectorTrigger,
    PathProvider,
    SignalR,
    TriggerInfo,
    WatchableAsyncStatus,
    WatcherUpdate,
    soft_signal_r_and_setter,
)

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.stop import register, unregister

from ._compression import compression_named, encoder
from ._connector import CameraConnector
from ._documents import SCALARS, FrameDocuments, scalar_datakey
from ._driver import CameraDriver
from ._edges import trigger_line, trigger_logic
from ._flight import Flight
from ._format import CameraIdentity
from ._logics import CameraAcquireLogic, FrameDataLogic
from ._pipeline import FramePipeline
from ._records import DetectorRecord
from ._safety import CameraSafety
from ._settings import CameraSettings, RoiSettings
from ._signals import CameraSignals
from ._statistics import load as load_statistics
from ._tap import FrameTap

logger = logging.getLogger(__name__)
_UNKNOWN = CameraIdentity("", "", "")
_USE_EDGES = "use DetectorTrigger.INTERNAL, or EXTERNAL_EDGE with exposures of a length that is set"


class Camera(CameraSignals):
    """Any camera with a :class:`~rdaq_ophyd.frames.CameraDriver`.

    ``exposure`` (s), ``roi`` (pixels), ``pixel_format`` and ``compression`` are configuration; every frame carries its
    mean, max and sum along; the frames go into one HDF5 file for each stage. Where the driver is
    :class:`~rdaq_ophyd.frames.EdgeTriggered`, ``trigger_line`` chooses the input of external triggers.

    :param driver: the camera.
    :param path_provider: where the files go.
    :param name: of the device, and data key of its frames.
    :param compression: of its files to begin with: ``none``, ``bitshuffle-lz4``, ``blosc2-lz4``, ``blosc2-zstd``.
    :raises UnknownName: no such compression; whether its package is there shows on connecting.
    """

    def __init__(
        self, driver: CameraDriver, path_provider: PathProvider, name: str = "", *, compression: str = "none"
    ) -> None:
        self._pipeline = FramePipeline(driver)
        self._pipeline.compression = compression_named(compression)
        settings = CameraSettings(self._pipeline)
        self.exposure = settings.exposure
        self.pixel_format = settings.pixel_format
        self.compression = settings.compression
        self.roi = RoiSettings(self._pipeline)
        self.model, self._set_model = soft_signal_r_and_setter(str)
        self.serial_number, self._set_serial = soft_signal_r_and_setter(str)
        self.frames_written = self._pipeline.written
        self.frames_lost = self._pipeline.lost
        self.frames_discarded = self._pipeline.discarded
        configuration: set[SignalR[Any]] = {
            self.exposure, self.pixel_format, self.compression, self.model, self.serial_number
        }  # fmt: skip
        if (line := trigger_line(self._pipeline, "Line1")) is not None:
            self.trigger_line = line
        self._trigger = trigger_logic(self._pipeline, self.exposure, configuration, line)
        self._acquire = CameraAcquireLogic(self._pipeline, self._trigger)
        self._data = FrameDataLogic(self._pipeline, path_provider, _UNKNOWN)
        self.add_detector_logics(self._trigger, self._acquire, self._data)
        self.add_config_signals(*self.roi.signals())
        self._prepared: TriggerInfo | None = None
        self._flight: Flight | None = None
        self._awaited = False
        self._pauses = 0
        self._preparing = asyncio.Lock()
        self._safety = CameraSafety(self._pipeline, lambda: self.name)
        self._closer = weakref.finalize(self, driver.close)
        super().__init__(name=name, connector=CameraConnector(driver, self._open))

    # -- opening and closing --------------------------------------------------------------------------------

    async def _open(self, driver: CameraDriver) -> None:
        self._pipeline.driver = driver
        identity = await asyncio.to_thread(driver.open)
        await asyncio.to_thread(load_statistics)
        await asyncio.to_thread(encoder, self._pipeline.compression)
        self._data.identity = identity
        self._set_model(identity.model)
        self._set_serial(identity.serial)
        register(self._safety)

    async def close(self) -> None:
        """Close the file, if one is open, and the camera. It opens again with ``connect(force_reconnect=True)``."""
        unregister(self._safety)
        await self._pipeline.close()
        self._pipeline.fan.close()
        await asyncio.to_thread(self._pipeline.driver.close)

    def tap(self, name: str, *, keep: int = 1) -> FrameTap:
        """The newest frames as they come, for a live view or an analysis; from any thread. The file gets all of them.

        :param name: of the reader, for messages.
        :param keep: frames, and so buffers of the camera, that the reader may hold at once.
        """
        return self._pipeline.fan.open(f"{name} of {self.name}", keep)

    def frame_record(self) -> DetectorRecord:
        """What the next frames are like; asks the camera and waits for it, so not from the event loop."""
        return self._data.record(self.name)

    # -- the bluesky verbs ----------------------------------------------------------------------------------

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Stop the camera and close the last file; the next one is made by ``prepare`` or the first trigger."""
        self._pauses += 1
        async with self._preparing:
            self._prepared = self._flight = None
            await super().stage()

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Stop the camera, also within an exposure, and close the file."""
        self._pauses += 1  # a trigger that has not begun its exposure will not
        async with self._preparing:
            self._prepared = self._flight = None
            await self._data.stop()

    @AsyncStatus.wrap
    async def prepare(self, value: TriggerInfo) -> None:
        """Get ready for ``value.number_of_events`` frames (0: until unstaged); ``livetime`` sets the exposure, s.

        :raises CameraError: something this camera cannot do is asked for.
        :raises DataDirectoryError: the frames do not fit on the disk, or the file cannot be made.
        """
        self._check(value)
        async with self._preparing:
            await self._prepare(value)

    async def _prepare(self, value: TriggerInfo) -> None:
        await self._pipeline.halt()
        self._flight = None
        self._acquire.preparing = True
        try:
            await super().prepare(value)
        finally:
            self._acquire.preparing = False
        await self.check_room(value.number_of_events)
        self._prepared = value

    async def check_room(self, frames: int) -> None:
        """Make sure that so many frames, as the camera is set now, fit on the disk.

        :raises DataDirectoryError: naming the needed and the free size.
        """
        await self._data.check_room(frames, self.name)

    def _check(self, value: TriggerInfo) -> None:
        if value.collections_per_event > 1 or value.exposures_per_collection > 1:
            raise CameraError(
                f"{self.name}: {value.collections_per_event} collections of {value.exposures_per_collection} exposures "
                "in one event are not supported",
                hint="take one frame an event: number_of_events=n, collections_per_event=1",
            )
        if value.trigger not in self._supported_triggers:
            edges = DetectorTrigger.EXTERNAL_EDGE in self._supported_triggers
            raise CameraError(
                f"{self.name}: trigger {value.trigger.name} is not supported",
                hint=_USE_EDGES if edges else "use DetectorTrigger.INTERNAL: software starts, the camera times itself",
            )

    @WatchableAsyncStatus.wrap
    async def trigger(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Take one frame; done when it is in the file, readable by others. A frame nobody read is replaced."""
        pauses = self._pauses
        async with self._preparing:  # a replayed trigger may find the first one still at it
            if self._prepared is None:
                await self._prepare(TriggerInfo())
        prepared = self._prepared
        if prepared is None or prepared.number_of_events != 1:
            raise CameraError(
                f"{self.name} is prepared for {prepared and prepared.number_of_events} frames, a trigger takes one",
                hint="use kickoff and complete for more, or prepare with number_of_events=1",
            )
        documents = self._documents()
        documents.use(streaming=False)
        self._flight, self._awaited = None, True
        if self._pipeline.rows > documents.emitted:
            await self._pipeline.rewind(documents.emitted)
        start = self._pipeline.rows
        if pauses != self._pauses:
            return  # paused before the exposure began: the replayed trigger takes the frame
        await self._acquire.start_acquiring(1)
        async for update in self._updates(start, start + 1, prepared.exposure_timeout):
            yield update
        await self._acquire.wait_for_idle()
        self._awaited = self._pipeline.rows == start

    @AsyncStatus.wrap
    async def kickoff(self) -> None:
        """Start taking the prepared frames.

        :raises CameraError: not prepared, or for fewer frames than ``events_to_kickoff`` says.
        """
        documents, prepared = self._documents(), self._prepared
        assert prepared is not None
        count = await self.events_to_kickoff.get_value()
        if prepared.number_of_events and count > prepared.number_of_events:
            raise CameraError(
                f"{self.name}: {count} frames asked for, prepared for {prepared.number_of_events}",
                hint="prepare with number_of_events as large as events_to_kickoff",
            )
        documents.use(streaming=True)
        self._flight = Flight(self._pipeline.rows, count, prepared.exposure_timeout)
        await self._acquire.start_acquiring(count)

    @WatchableAsyncStatus.wrap
    async def complete(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Done when every frame of the kick-off is in the file; for an endless one, stop it."""
        flight = self._flight
        if flight is None:
            raise CameraError(f"{self.name}: complete without kickoff", hint="kick the camera off first")
        await self._continue(flight)
        if flight.count == 0:
            flight.ended = True
            await self._pipeline.finish()
            return
        async for update in self._updates(flight.start, flight.end, flight.timeout):
            yield update
        await self._acquire.wait_for_idle()

    async def _updates(self, start: int, end: int, timeout: float) -> AsyncIterator[WatcherUpdate[int]]:
        began = time.monotonic()
        async for rows in self._pipeline.progress(end, timeout):
            elapsed = time.monotonic() - began
            yield WatcherUpdate(
                name=self.name, current=rows, initial=start, target=end, unit="", precision=0, time_elapsed=elapsed
            )

    @property
    def exposure_times(self) -> NDArray[np.float64]:
        """The middle of the exposure of each frame in the open file, seconds since 1970, shape (n,).

        Half an exposure before the frame reached the host: readout and transfer, which a camera does not tell, count as
        part of it. Empty when no file is open.
        """
        sink = self._pipeline.sink
        return np.array(sink.times[: self._pipeline.rows] if sink else [], dtype=np.float64)

    # -- documents ------------------------------------------------------------------------------------------

    def _documents(self) -> FrameDocuments:
        documents = self._data.documents
        if documents is None or self._prepared is None:
            raise CameraError(f"{self.name} is not prepared", hint="stage it, then prepare it with a TriggerInfo")
        return documents

    @property
    def hints(self) -> Hints:
        """Mean and max are what tables and plots show."""
        return Hints(fields=[f"{self.name}-mean", f"{self.name}-max"])

    async def describe(self) -> dict[str, DataKey]:
        """The frame as a stream, its scalars as event data."""
        documents = self._documents()
        scalars = {f"{self.name}-{name}": scalar_datakey(name, documents.uri) for name in SCALARS}
        return {**documents.frame_datakeys(), **scalars}

    async def read(self) -> dict[str, Reading[Any]]:
        """Mean, max and sum of the frame just triggered.

        :raises CameraError: the trigger has not ended with a frame.
        """
        latest = self._pipeline.latest
        if latest is None or self._awaited:
            raise CameraError(f"{self.name}: there is no frame to read", hint="trigger the camera and wait for it")
        values = latest.statistics._asdict()
        return {f"{self.name}-{name}": Reading(value=values[name], timestamp=latest.host_time) for name in SCALARS}

    async def get_index(self) -> int:
        """Frames that may be collected."""
        await self._finish_interrupted()
        return self._pipeline.rows

    async def collect_asset_docs(self, index: int | None = None) -> AsyncIterator[StreamAsset]:
        """Stream documents for the frames in the file, up to ``index``."""
        documents = self._documents()
        await self._finish_interrupted()
        await self._pipeline.settle_rows()  # after a stop some may still be on their way
        rows = self._pipeline.rows if index is None else min(index, self._pipeline.rows)
        async for document in documents.make_stream_docs(rows, 1):
            yield document

    # -- pause and resume -----------------------------------------------------------------------------------

    async def pause(self) -> None:
        """Stop the camera; frames that no document tells of are discarded and counted, their rows written anew.

        A flight of which nothing was collected is flown again. One that was collected in part goes on where it
        stopped, so that n frames stay n frames; then the engine must not replay the plan.

        :raises NoReplayAllowed: to the RunEngine, in that case.
        """
        self._pauses += 1
        documents = self._data.documents
        if documents is None:
            return
        kept = documents.settle()
        flight = self._flight if self._flight is not None and not self._flight.is_over(kept) else None
        if flight is None and not self._pipeline.acquiring and self._pipeline.rows == kept:
            return
        await self._pipeline.rewind(kept)
        if flight is None:
            return
        flight.interrupted = flight.waiting = True
        if kept > flight.start:
            logger.warning(
                "%s: paused with %d of %d frames collected; on resume it takes the rest where it is, without "
                "repeating movements",
                self.name,
                kept - flight.start,
                flight.count,
            )
            raise NoReplayAllowed

    async def resume(self) -> None:
        """Go on with a flight that was collected in part; everything else waits for the replayed plan."""
        flight = self._flight
        if flight is not None and self._pipeline.rows > flight.start:
            await self._continue(flight)

    async def _continue(self, flight: Flight) -> None:
        if flight.interrupted:
            flight.interrupted = False
            await self._acquire.start_acquiring(flight.end - self._pipeline.rows if flight.count else 0)

    async def _finish_interrupted(self) -> None:
        """A pause loses the wait for a flight; whoever collects next waits for it instead."""
        flight = self._flight
        if flight is None or not flight.waiting or not flight.count:
            return
        await self._continue(flight)
        async for _ in self._pipeline.progress(flight.end, flight.timeout):
            pass
        flight.waiting = False

    stop_capability = StopCapability(StopMeans.SOFTWARE, note="the exposure in progress is thrown away")

    async def stop(self, success: bool = True) -> None:  # noqa: ARG002  bluesky's signature; an exposure has no halves
        """Stop the camera now; what it has taken stays in the file. Whoever waits for more frames gets an error."""
        self._pipeline.halt_soon()
        await self._pipeline.halt()

    def halt(self) -> None:
        """The same from any thread, without waiting."""
        self._pipeline.halt_soon()
