"""The rigs of this process, for messages that name the devices one could take instead."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._rig import Rig

__all__ = ["fitting", "fitting_devices", "note"]

_RIGS: weakref.WeakValueDictionary[int, Rig] = weakref.WeakValueDictionary()


def note(rig: Rig) -> None:
    """Know this rig for as long as it lives."""
    _RIGS[id(rig)] = rig


def fitting(protocol: type, beside: Any) -> list[str]:
    """Names of the devices that have a capability, in the rig of ``beside``; in all rigs where it is in none."""
    rigs = _rigs_of(beside) or list(_RIGS.values())
    return [name for rig in rigs for name, device in rig.devices.items() if isinstance(device, protocol)]


def fitting_devices(protocol: type, beside: Any) -> dict[str, Any]:
    """The devices that have a capability in the rig of ``beside``, by name; none where it is in no rig."""
    devices = {name: device for rig in _rigs_of(beside) for name, device in rig.devices.items()}
    return {name: device for name, device in devices.items() if isinstance(device, protocol)}


def _rigs_of(device: Any) -> list[Rig]:
    return [rig for rig in list(_RIGS.values()) if any(_root(device, rig) is d for d in rig.devices.values())]


def _root(device: Any, rig: Rig) -> Any:
    """The device of the rig that ``device`` is a part of, or itself."""
    while device is not None and not any(device is known for known in rig.devices.values()):
        device = getattr(device, "parent", None)
    return device
