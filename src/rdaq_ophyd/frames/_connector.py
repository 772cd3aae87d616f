"""How a camera is opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ophyd_async.core import Device, DeviceConnector, DeviceMock

from ._driver import CameraDriver
from ._synthetic import SyntheticDriver


class CameraConnector(DeviceConnector):
    """Open the camera through its SDK on connect; in mock mode a synthetic camera takes its place."""

    def __init__(self, driver: CameraDriver, opened: Callable[[CameraDriver], Awaitable[None]]) -> None:
        self._driver, self._opened = driver, opened

    async def connect_real(self, device: Device, timeout: float, force_reconnect: bool) -> None:
        """Open the camera and read who it is.

        :raises CameraError: no such camera, in use, or its SDK is missing.
        """
        await self._opened(self._driver)
        await super().connect_real(device, timeout, force_reconnect)

    async def connect_mock(self, device: Device, mock: DeviceMock[Any]) -> None:
        """Use a synthetic camera, so that plans take frames without hardware."""
        await self._opened(SyntheticDriver(label=f"mock {device.name}"))
        await super().connect_mock(device, mock)
