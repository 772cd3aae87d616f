"""Micro-Manager devices: cameras, stages, wheels and shutters of many makers, through Micro-Manager's device adapters.

The package ``pymmcore`` carries Micro-Manager's core (``pip install 'rdaq-ophyd[micromanager]'``, LGPL); the adapters
come with Micro-Manager itself, and must be built for the device interface of that core: the fourth number of pymmcore's
version. All devices of a configuration share one ``MicroManager``.

Manual: Micro-Manager's *MMCore API* and the pages of its device adapters.

Run against: Micro-Manager's core with its demo adapters; not on hardware.
"""

from __future__ import annotations

from collections.abc import Mapping

from ophyd_async.core import PathProvider

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.frames import Camera, CameraDriver, PixelFormat

from ._mm_camera import MicroManagerDriver
from ._mm_core import MicroManager
from ._mm_property import Property, PropertySignals
from ._mm_shutter import MicroManagerShutter
from ._mm_stages import MicroManagerStage, MicroManagerState, MicroManagerXYStage

__all__ = [
    "MicroManager",
    "MicroManagerCamera",
    "MicroManagerDriver",
    "MicroManagerShutter",
    "MicroManagerStage",
    "MicroManagerState",
    "MicroManagerXYStage",
    "Property",
]


class MicroManagerCamera(Camera):
    """A camera under Micro-Manager.

    :param path_provider: where the frame files go.
    :param mm: the core, shared with the other devices of the configuration; or the path of its file.
    :param camera: the camera's label in the configuration.
    :param name: of the device.
    :param properties: more signals: name -> property of the adapter; they are part of the configuration. Those that are
        not ``harmless`` are refused while a file is open.
    :param frame_number: tag of an image's metadata that counts frames, see :class:`MicroManagerDriver`.
    :param pixel_types: property values that make each pixel format, where they are not found by themselves.
    """

    stop_capability = StopCapability(
        StopMeans.SOFTWARE, note="most adapters end the exposure in progress, which is thrown away"
    )

    def __init__(
        self,
        path_provider: PathProvider,
        mm: MicroManager | str,
        camera: str = "Camera",
        name: str = "",
        *,
        properties: Mapping[str, Property] | None = None,
        frame_number: str = "ImageNumber",
        pixel_types: Mapping[PixelFormat, Mapping[str, str]] | None = None,
    ) -> None:
        mm = MicroManager.of(mm)
        self.driver = MicroManagerDriver(mm, camera, frame_number=frame_number, pixel_types=pixel_types)
        given = {"binning": Property("Binning"), **(properties or {})}
        self.properties = PropertySignals(mm, camera, given, self._refuse_while_open)
        super().__init__(self.driver, path_provider, name=name)
        data = self._data  # not the camera: its driver must not keep it alive
        self.driver.file_format = lambda: data.documents.frame if data.documents is not None else None
        self.add_config_signals(*self.properties.signals())

    async def _open(self, driver: CameraDriver) -> None:
        await super()._open(driver)
        self.properties.mock = driver is not self.driver
        if not self.properties.mock:
            await self.properties.learn()

    def _refuse_while_open(self) -> None:
        if self._pipeline.sink is not None:
            raise CameraError(
                f"{self.name}: a file is open, whose frames were taken with the properties as they are",
                hint="unstage the camera before changing one",
            )

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; messages and warnings of the camera use it too."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.driver.label = self.driver.book.camera = name or "camera"
