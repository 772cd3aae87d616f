"""The baseline: what every device says at the start and the end of each run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from bluesky.preprocessors import SupplementalData
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator
from ophyd_async.core import Device, StandardDetector

from rdaq_ophyd.signals import LinkDevice

__all__ = ["baseline"]
logger = logging.getLogger(__name__)


def baseline(devices: Callable[[], Iterable[Device]]) -> Callable[[MsgGenerator[Any]], MsgGenerator[Any]]:
    """A preprocessor: read every device at the start and the end of each run, into the stream ``baseline``.

    A camera gives its configuration only: reading it would take a frame. A device whose link is closed is left out,
    with a warning: it must not fail the runs that do not use it.

    :param devices: the devices at the time of the run.
    """

    def with_baseline(plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        wrapped: MsgGenerator[Any] = SupplementalData(baseline=_readings(devices()))(plan)
        return (yield from wrapped)

    return with_baseline


def _readings(devices: Iterable[Device]) -> list[Any]:
    chosen: list[Any] = []
    for device in devices:
        if isinstance(device, LinkDevice) and device._mock is None and not device.channel.link.is_open:
            logger.warning("baseline without %s: its link is closed", device.name)
        elif isinstance(device, StandardDetector):
            chosen.extend(device._config_signals)  # ophyd-async has no public way to list them
        elif isinstance(device, Readable) and not _inside(device, chosen):
            chosen.append(device)
    return chosen


def _inside(device: Device, chosen: list[Any]) -> bool:
    parent = device.parent
    while parent is not None:
        if parent in chosen:
            return True
        parent = parent.parent
    return False
