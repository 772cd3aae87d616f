"""Trigger, acquire and data logic shared by every camera."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from ophyd_async.core import (
    DetectorTriggerLogic,
    PathProvider,
    SignalDict,
    SignalR,
    SignalRW,
    StreamableDataProvider,
    TriggerInfo,
)

from rdaq_ophyd.streams import StreamAcquireLogic, StreamDataLogic

from ._documents import FrameDocuments
from ._files import forecast, frame_file
from ._format import CameraIdentity, FrameFormat
from ._pace import Paced
from ._paths import absolute_paths
from ._pipeline import FramePipeline
from ._records import DetectorRecord


@dataclass
class CameraTriggerLogic(DetectorTriggerLogic):
    """Software-started, internally timed exposures."""

    pipeline: FramePipeline
    exposure: SignalRW[float]
    config: set[SignalR[Any]]
    frames: int = 1
    deadtime: float = 0.0
    edges: bool = False

    def config_sigs(self) -> set[SignalR[Any]]:
        """What goes into the configuration of every descriptor."""
        return self.config

    def get_deadtime(self, config_values: SignalDict) -> float:  # noqa: ARG002  none of them matters
        """Cameras here read out while they expose the next frame: 0 s between exposures."""
        return 0.0

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        """Set the exposure (``livetime``, s; 0 keeps it) and the pause after each (``deadtime``, s).

        :raises LimitError: the camera does not reach that rate; before anything starts.
        """
        if livetime:
            await self.exposure.set(livetime)
        driver = self.pipeline.driver
        if deadtime and isinstance(driver, Paced):
            await asyncio.to_thread(lambda: driver.check_period(driver.exposure() + deadtime))
        self.frames, self.deadtime, self.edges = num, deadtime, False

    async def default_trigger_info(self) -> TriggerInfo:
        """One frame with the exposure that is set."""
        return TriggerInfo()


@dataclass
class CameraAcquireLogic(StreamAcquireLogic):
    """Arm the writer for the prepared number of frames, start and stop the camera."""

    pipeline: FramePipeline
    trigger: CameraTriggerLogic
    preparing: bool = False
    """ophyd-async starts externally triggered detectors while it prepares them; ours start with kickoff and trigger."""

    async def start_acquiring(self, frames: int | None = None) -> None:
        """Take ``frames`` frames, else as many as prepared (0: until stopped); done when the camera sees edges."""
        if self.preparing:
            return
        deadtime = self.trigger.deadtime
        period = await self.trigger.exposure.get_value() + deadtime if deadtime else 0.0
        await self.pipeline.arm(self.trigger.frames if frames is None else frames, period)
        if self.trigger.edges:
            await self.pipeline.wait_started()


@dataclass
class FrameDataLogic(StreamDataLogic[FrameDocuments]):
    """Frames into one HDF5 file a stage, straight from the camera's buffers."""

    pipeline: FramePipeline
    path_provider: PathProvider
    identity: CameraIdentity

    def current_format(self) -> FrameFormat:
        """Shape and dtype of the next frames."""
        return self.pipeline.driver.frame_format()

    async def check_room(self, frames: int, datakey_name: str) -> None:
        """Refuse a stack that does not fit on the disk, in the open file's folder or where the next one will be.

        :raises DataDirectoryError: naming the needed and the free size.
        """
        sink = self.pipeline.sink
        path = sink.path if sink else await asyncio.to_thread(frame_file, self.path_provider(datakey_name))
        frame = await asyncio.to_thread(self.current_format)
        await asyncio.to_thread(forecast, max(1, frames), frame.nbytes, path.parent)

    def __post_init__(self) -> None:
        self.path_provider = absolute_paths(self.path_provider)

    async def prepare_unbounded(self, datakey_name: str) -> StreamableDataProvider:
        """Create the file, SWMR on, before the first frame.

        :raises DataDirectoryError: the directory cannot be written, the file exists, or the disk is full.
        """
        info = self.path_provider(datakey_name)
        path, record = await asyncio.to_thread(lambda: (frame_file(info), self.record(datakey_name)))
        await self.pipeline.open(path, record)
        uri = f"{info.directory_uri}{path.name}"
        self.documents = FrameDocuments(uri, datakey_name, record.frame, self.pipeline.written)
        return self.documents

    def record(self, name: str) -> DetectorRecord:
        """What the next frames are like; asks the camera, so not on the event loop."""
        driver = self.pipeline.driver
        return DetectorRecord(
            name,
            self.identity,
            driver.pixel_format(),
            driver.roi(),
            driver.frame_format(),
            self.pipeline.compression,
        )
