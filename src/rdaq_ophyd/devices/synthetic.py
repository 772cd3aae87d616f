"""The built-in synthetic camera: a laser spot with shot noise, for rehearsals, demonstrations and tests."""

from __future__ import annotations

from ophyd_async.core import PathProvider

from rdaq_ophyd.frames import Camera, SyntheticDriver

__all__ = ["SyntheticCamera", "SyntheticDriver"]


class SyntheticCamera(Camera):
    """A camera in software, with buffers, timing and losses like a real one.

    :param path_provider: where the frame files go.
    :param name: of the device.
    :param width: of the sensor, pixels.
    :param height: of the sensor, pixels.
    :param buffers: frames the camera can hold; with all of them in use it loses frames.
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
        compression: str = "none",
    ) -> None:
        self.driver = SyntheticDriver(width, height, buffers=buffers)
        super().__init__(self.driver, path_provider, name=name, compression=compression)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; messages and warnings of the camera use it too."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.driver.label = self.driver.book.camera = name or "synthetic"
