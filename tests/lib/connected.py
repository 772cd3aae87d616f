"""Devices that are connected while a test needs them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.link import open_links
from rdaq_ophyd.signals import LinkDevice
from rdaq_ophyd.sim import Port


@contextlib.asynccontextmanager
async def connected[D: LinkDevice](device: D, *, alone: bool = True) -> AsyncIterator[D]:
    """Closed at the end; where it is ``alone`` on its link, that is closed too."""
    await device.connect()
    try:
        yield device
    finally:
        await asyncio.to_thread(device.close)
        assert not alone or open_links() == ()


@contextlib.asynccontextmanager
async def motors_on(port: Port, axes: dict[int, str], **options) -> AsyncIterator[Esp300]:
    """A controller ``esp`` whose axes may move."""
    async with connected(Esp300(port.url, axes, "esp", **options)) as esp:
        await asyncio.gather(*(axis.enabled.set(True) for axis in esp.axes.values()))
        yield esp
