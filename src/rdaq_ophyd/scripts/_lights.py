"""Light that a script switched on, and whose process is gone: its own clean-up would have made it dark."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from bluesky import Msg
from bluesky.preprocessors import contingency_wrapper
from bluesky.utils import MsgGenerator
from ophyd_async.core import Device

from rdaq_ophyd.capabilities import EmissionControl, ShutterControl
from rdaq_ophyd.plans._light import _dark

logger = logging.getLogger(__name__)


class Lights:
    """Shutters and emission switches that a plan has set.

    :param devices: of the rig.
    """

    def __init__(self, devices: Any) -> None:
        self._switches = {id(switch): switch for device in devices for switch in _switches(device)}
        self._set: dict[int, Any] = {}

    def note(self, message: Msg) -> None:
        """It is about to be done."""
        if message.command == "set" and id(message.obj) in self._switches:
            self._set.setdefault(id(message.obj), message.obj)

    def darken(self) -> MsgGenerator[None]:
        """Close and switch off what was set, last first; one that fails does not keep the others."""
        for switch in reversed(list(self._set.values())):
            yield from contingency_wrapper(_dark(switch), except_plan=_tell, auto_raise=False)


def _tell(error: Exception) -> MsgGenerator[None]:
    logger.error("light that a script left on: %s", error)
    yield Msg("null")


def _switches(device: Any) -> Iterator[Any]:
    if isinstance(device, ShutterControl):
        yield device.shutter
    if isinstance(device, EmissionControl):
        yield device.emission
    if isinstance(device, Device):
        for _, child in device.children():
            yield from _switches(child)
