"""Synthetic camera: a camera in software, a laser spot with shot noise, and buffers, timing and losses like a real one.

For rehearsals, and the stand-in for any camera in mock mode.

Manual: none.

Run against: itself; it serves as the camera of many tests.
"""

from __future__ import annotations

from collections.abc import Callable

from ophyd_async.core import PathProvider

from rdaq_ophyd.frames import Camera, Spot, SyntheticDriver

__all__ = ["SyntheticCamera", "SyntheticDriver"]


class SyntheticCamera(Camera):
    """A camera in software, with buffers, timing and losses like a real one.

    :param path_provider: where the frame files go.
    :param name: of the device.
    :param width: of the sensor, pixels.
    :param height: of the sensor, pixels.
    :param buffers: frames the camera can hold; with all of them in use it loses frames.
    :param scene: tells how the spot is now (see ``Spot``), for a camera on a simulated bench.
    :param compression: of its files to begin with.
    """

    def __init__(
        self,
        path_provider: PathProvider,
        name: str = "",
        *,
        width: int = 640,
        height: int = 480,
        buffers: int = 16,
        scene: Callable[[], Spot] | None = None,
        compression: str = "none",
    ) -> None:
        self.driver = SyntheticDriver(width, height, buffers=buffers, scene=scene)
        super().__init__(self.driver, path_provider, name=name, compression=compression)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; messages and warnings of the camera use it too."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.driver.label = self.driver.book.camera = name or "synthetic"
