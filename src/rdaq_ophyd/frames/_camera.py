"""A camera as a StandardDetector: step scans, fly scans, pause and resume with no frame too many or too few."""

from __future__ import annotations

import asyncio
from typing import Any

from bluesky.protocols import Hints, Reading
from event_model import DataKey
from ophyd_async.core import (
    AsyncStatus,
    DetectorTrigger,
    PathProvider,
    SignalR,
    TriggerInfo,
    soft_signal_r_and_setter,
)

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.stop import register, unregister
from rdaq_ophyd.streams import StreamDetector, check_info

from ._compression import compression_named, encoder
from ._connector import CameraConnector
from ._documents import SCALARS, FrameDocuments, scalar_datakey
from ._driver import CameraDriver
from ._edges import trigger_line, trigger_logic
from ._format import CameraIdentity
from ._logics import CameraAcquireLogic, FrameDataLogic
from ._pipeline import FramePipeline
from ._records import DetectorRecord
from ._settings import CameraSettings, RoiSettings
from ._signals import CameraSignals
from ._statistics import load as load_statistics
from ._tap import FrameTap, TapCounts
from ._words import WORDS

_UNKNOWN = CameraIdentity("", "", "")
_USE_INTERNAL = "use DetectorTrigger.INTERNAL: software starts, the camera times itself"
_USE_EDGES = "use DetectorTrigger.INTERNAL, or EXTERNAL_EDGE with exposures of a length that is set"
# A camera must have stopped in so many seconds; most do within one exposure's time-out.
_BOUND = 5.0


class Camera(StreamDetector[FramePipeline, FrameDocuments], CameraSignals):
    """Any camera with a :class:`~rdaq_ophyd.frames.CameraDriver`.

    ``exposure`` (s), ``roi`` (pixels), ``pixel_format`` and ``compression`` are configuration; every frame carries its
    mean, max and sum along, and how many frames the camera lost just before it; the frames go into one HDF5 file for
    each stage. Where the driver is :class:`~rdaq_ophyd.frames.EdgeTriggered`, ``trigger_line`` chooses the input of
    external triggers.

    :param driver: the camera.
    :param path_provider: where the files go.
    :param name: of the device, and data key of its frames.
    :param compression: of its files to begin with: ``none``, ``bitshuffle-lz4``, ``blosc2-lz4``, ``blosc2-zstd``.
    :raises UnknownName: no such compression; whether its package is there shows on connecting.
    """

    stop_capability = StopCapability(StopMeans.SOFTWARE, note="the exposure in progress is thrown away")
    _acquire: CameraAcquireLogic
    _data: FrameDataLogic

    def __init__(
        self, driver: CameraDriver, path_provider: PathProvider, name: str = "", *, compression: str = "none"
    ) -> None:
        pipeline = FramePipeline(driver)
        pipeline.compression = compression_named(compression)
        settings = CameraSettings(pipeline)
        self.exposure = settings.exposure
        self.pixel_format = settings.pixel_format
        self.compression = settings.compression
        self.roi = RoiSettings(pipeline)
        self.model, self._set_model = soft_signal_r_and_setter(str)
        self.serial_number, self._set_serial = soft_signal_r_and_setter(str)
        self.frames_written, self.frames_lost, self.frames_discarded = (
            pipeline.written,
            pipeline.lost,
            pipeline.discarded,
        )
        configuration: set[SignalR[Any]] = {
            self.exposure, self.pixel_format, self.compression, self.model, self.serial_number
        }  # fmt: skip
        if (line := trigger_line(pipeline, "Line1")) is not None:
            self.trigger_line = line
        trigger = trigger_logic(pipeline, self.exposure, configuration, line)
        acquire = CameraAcquireLogic(pipeline, trigger)
        data = FrameDataLogic(pipeline, path_provider, _UNKNOWN)
        self.add_detector_logics(trigger, acquire, data)
        self.add_config_signals(*self.roi.signals())
        connector = CameraConnector(driver, self._open)
        unstopped = "its SDK did not stop the acquisition"
        super().__init__(pipeline, acquire, data, bound=_BOUND, unstopped=unstopped, name=name, connector=connector)

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

    @property
    def tap_counts(self) -> TapCounts:
        """What became of its frames for all who tapped it, also those who have left."""
        return self._pipeline.fan.counts

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
    async def prepare(self, value: TriggerInfo) -> None:
        """Get ready for ``value.number_of_events`` frames (0: until unstaged); ``livetime`` sets the exposure, s.

        :raises CameraError: something this camera cannot do is asked for.
        :raises DataDirectoryError: the frames do not fit on the disk, or the file cannot be made.
        """
        edges = DetectorTrigger.EXTERNAL_EDGE in self._supported_triggers
        check_info(self.name, value, self._supported_triggers, WORDS, _USE_EDGES if edges else _USE_INTERNAL)
        async with self._preparing:
            await self._prepare(value)

    async def _prepare(self, value: TriggerInfo) -> None:
        await self._leave_flight()
        await self._pipeline.halt()
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

    async def _timeout(self, prepared: TriggerInfo) -> float:
        kept = 0.0 if prepared.livetime else await self.exposure.get_value()
        return prepared.exposure_timeout + kept

    async def _end(self) -> None:
        await self._pipeline.finish()

    async def _settle_rows(self) -> None:
        await self._pipeline.settle_rows()

    # -- documents ------------------------------------------------------------------------------------------

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
        """Mean, max and sum of the frame just triggered, and how many were lost just before it.

        :raises CameraError: the trigger has not ended with a frame.
        """
        latest = self._pipeline.latest
        if latest is None or self._awaited:
            raise CameraError(f"{self.name}: there is no frame to read", hint="trigger the camera and wait for it")
        values = latest.statistics._asdict() | {"lost": latest.lost}
        return {f"{self.name}-{name}": Reading(value=values[name], timestamp=latest.host_time) for name in SCALARS}
