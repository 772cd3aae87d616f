"""How a camera is opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rdaq_ophyd.streams import StreamConnector

from ._driver import CameraDriver
from ._synthetic import SyntheticDriver


class CameraConnector(StreamConnector[CameraDriver]):
    """Open the camera through its SDK on connect; in mock mode a synthetic camera takes its place."""

    def __init__(self, driver: CameraDriver, opened: Callable[[CameraDriver], Awaitable[None]]) -> None:
        super().__init__(driver, opened, lambda device: SyntheticDriver(label=f"mock {device.name}"))
