"""How an analog input comes to its card."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ophyd_async.core import Device, DeviceConnector, DeviceMock

from ._driver import AnalogDriver


class CardConnector(DeviceConnector):
    """Open the card through its SDK on connect; in mock mode another one takes its place.

    :param card_driver: the card.
    :param use: opens one and uses it from then on.
    :param stand_in: makes the one of the mock mode.
    """

    def __init__(
        self,
        card_driver: AnalogDriver,
        use: Callable[[AnalogDriver], Awaitable[None]],
        stand_in: Callable[[], AnalogDriver],
    ) -> None:
        self._driver, self._use, self._stand_in = card_driver, use, stand_in

    async def connect_real(self, device: Device, timeout: float, force_reconnect: bool) -> None:
        """Open the card and read who it is.

        :raises CardError: no such card, in use, or its SDK is missing.
        """
        await self._use(self._driver)
        await super().connect_real(device, timeout, force_reconnect)

    async def connect_mock(self, device: Device, mock: DeviceMock[Any]) -> None:
        """Use the stand-in, so that plans take samples without hardware."""
        await self._use(self._stand_in())
        await super().connect_mock(device, mock)
