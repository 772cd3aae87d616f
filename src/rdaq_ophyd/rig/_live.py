"""The rigs of this process, for messages that name the devices one could take instead."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._rig import Rig

__all__ = ["fitting", "note"]

_RIGS: weakref.WeakValueDictionary[int, Rig] = weakref.WeakValueDictionary()


def note(rig: Rig) -> None:
    """Know this rig for as long as it lives."""
    _RIGS[id(rig)] = rig


def fitting(protocol: type, beside: Any) -> list[str]:
    """Names of the devices that have a capability, in the rig of ``beside``; in all rigs where it is in none."""
    rigs = list(_RIGS.values())
    own = [rig for rig in rigs if any(device is _root(beside, rig) for device in rig.devices.values())]
    found = {name: device for rig in own or rigs for name, device in rig.devices.items()}
    return [name for name, device in found.items() if isinstance(device, protocol)]


def _root(device: Any, rig: Rig) -> Any:
    """The device of the rig that ``device`` is a part of, or itself."""
    while device is not None and not any(device is known for known in rig.devices.values()):
        device = getattr(device, "parent", None)
    return device
