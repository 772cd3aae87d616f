"""Halting devices: the outermost ones that take a halt, each at once. And stopping one, bounded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from bluesky.protocols import Stoppable
from bluesky.utils import maybe_await
from ophyd_async.core import Device

from rdaq_ophyd.capabilities import Haltable

from ._orderly import STOP_BOUND
from ._quits import QUITS

__all__ = ["halt_all", "stop_one"]
logger = logging.getLogger(__name__)


def halt_all(devices: Collection[Any], seen: Iterable[Any] = ()) -> None:
    """Put the stop of every device that takes one at once (``Haltable``) on its wire. Thread-safe; never raises.

    :param devices: of the rig.
    :param seen: others that may be among them, or parts of them: whatever a plan has touched.
    """
    done: list[Any] = []
    for device in (*_haltable(devices), *seen):
        if not isinstance(device, Haltable) or isinstance(device, type) or _covered(device, done):
            continue
        done.append(device)
        try:
            device.halt()
        except (Exception, *QUITS):  # the other axes must be stopped whatever this one's port does
            logger.exception("stop of %r did not reach its port", device)


async def stop_one(device: Stoppable, *, success: bool) -> None:
    """Stop a device, bounded; never raises, since the others must be stopped whatever this one does."""
    try:
        async with asyncio.timeout(STOP_BOUND):
            await maybe_await(device.stop(success=success))
    except TimeoutError:
        logger.error("%r did not confirm its stop within %.0f s", device, STOP_BOUND)
    except (Exception, *QUITS):
        logger.exception("stop of %r", device)


def _haltable(devices: Collection[Any]) -> Iterator[Haltable]:
    """The outermost devices that can be halted: a controller's halt covers its axes."""
    for device in devices:
        if not isinstance(device, Haltable):
            yield from _haltable([child for _, child in device.children()] if isinstance(device, Device) else [])
        elif getattr(device, "parent", None) not in devices:
            yield device


def _covered(device: Any, done: list[Any]) -> bool:
    while device is not None:
        if any(device is other for other in done):
            return True
        device = getattr(device, "parent", None)
    return False
