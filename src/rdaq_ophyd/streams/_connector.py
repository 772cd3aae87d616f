"""How a detector comes to its instrument."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ophyd_async.core import Device, DeviceConnector, DeviceMock

from ._pipeline import StreamDriver


class StreamConnector[D: StreamDriver](DeviceConnector):
    """Open the instrument through its SDK on connect; in mock mode another one takes its place.

    :param driver: of the instrument.
    :param use: opens one and uses it from then on.
    :param stand_in: makes the one of the mock mode for a device.
    """

    def __init__(self, driver: D, use: Callable[[D], Awaitable[None]], stand_in: Callable[[Device], D]) -> None:
        self._driver, self._use, self._stand_in = driver, use, stand_in

    async def connect_real(self, device: Device, timeout: float, force_reconnect: bool) -> None:
        """Open the instrument and read who it is.

        :raises CameraError or CardError: there is none, it is in use, or its SDK is missing.
        """
        await self._use(self._driver)
        await super().connect_real(device, timeout, force_reconnect)

    async def connect_mock(self, device: Device, mock: DeviceMock[Any]) -> None:
        """Use the stand-in, so that plans run without hardware."""
        await self._use(self._stand_in(device))
        await super().connect_mock(device, mock)
