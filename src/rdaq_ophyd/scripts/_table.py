"""The rig's devices by their dotted names, and what a script's process has to know of them to stand in for them."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Iterable
from typing import Any

from ophyd_async.core import Device

from rdaq_ophyd.errors import LimitError, UnknownName
from rdaq_ophyd.rig import Rig

from ._models import known_enums, name_of
from ._vocabulary import FACTS, NOTES, QUESTIONS, TRACKS, VERBS

ATTRIBUTES = VERBS | QUESTIONS | NOTES | FACTS | TRACKS
MOST_KEPT = 10_000
"""Objects of the rig that one script may be given besides devices."""


class Table:
    """What there is, when a script begins.

    :param rig: whose devices.
    :ivar enums: all that travel by name: those of ophyd-async, and of the rig's signals.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig.name
        self._found: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self.enums: dict[str, type[enum.Enum]] = known_enums()
        self._roots = {**rig.devices, "calibration": rig.calibration}
        for name, device in self._roots.items():  # before the parts: the stage's axis 1 is x
            self._note(name, device)
        for name, device in self._roots.items():
            self._add_parts(name, device)

    def _note(self, name: str, device: Any) -> bool:
        if id(device) in self._names:
            return False
        self._found[name], self._names[id(device)] = device, name
        kind = getattr(device, "datatype", None)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            self.enums[name_of(kind)] = kind
        return True

    def _add_parts(self, name: str, device: Any) -> None:
        for part, child in _children(device):
            if self._note(f"{name}.{part}", child):
                self._add_parts(f"{name}.{part}", child)

    def __getitem__(self, name: str) -> Any:
        """The device, part or kept object of that name.

        :raises UnknownName: with the nearest names.
        """
        if name not in self._found:
            raise UnknownName.among("device", str(name)[:200], self._found)
        return self._found[name]

    def name_of(self, device: Any) -> str | None:
        """The name under which a script knows it; None for what it does not know."""
        name = self._names.get(id(device))
        return name if name is not None and self._found[name] is device else None

    def keep(self, thing: Any) -> dict[str, Any]:
        """Know something that is no device of the rig, and describe it."""
        name = f"#{len(self._found)}"
        if len(self._found) > MOST_KEPT:
            raise LimitError(f"more than {MOST_KEPT} objects of the rig in one script")
        self._found[name], self._names[id(thing)] = thing, name
        return self._described(name, thing)

    def described(self) -> dict[str, Any]:
        """All of it, for a script's process."""
        return {
            "rig": self._rig,
            "roots": {name: self._names[id(device)] for name, device in self._roots.items()},
            "devices": [self._described(name, device) for name, device in self._found.items()],
            "enums": {
                name: [_base(cls), {key: member.value for key, member in cls.__members__.items()}]
                for name, cls in self.enums.items()
            },
        }

    def _described(self, name: str, device: Any) -> dict[str, Any]:
        return {
            "path": name,
            "name": getattr(device, "name", name),
            "said": repr(device)[:200],  # plans record it
            "classes": [name_of(cls) for cls in type(device).__mro__ if cls is not object],
            "attributes": sorted(attribute for attribute in ATTRIBUTES if _has(device, attribute)),
            "asynchronous": isinstance(device, Device),
            "parent": self.name_of(getattr(device, "parent", None)),
            "children": {part: self._names[id(child)] for part, child in _children(device)},
            "facts": {key: value for key in ("source",) if isinstance(value := getattr(device, key, None), str)},
            "datatype": _datatype(getattr(device, "datatype", None)),
        }


def _children(device: Any) -> Iterable[tuple[str, Device]]:
    return device.children() if isinstance(device, Device) else ()


def _has(device: Any, attribute: str) -> bool:
    """Without running what it is: a property may ask an instrument."""
    try:
        return inspect.getattr_static(device, attribute) is not None
    except AttributeError:
        return False


def _base(cls: type[enum.Enum]) -> str:
    return "str" if issubclass(cls, str) else "int" if issubclass(cls, int) else ""


def _datatype(kind: Any) -> str | None:
    """Of a signal: an enum or a plain type by its name; None for what only the rig needs to know."""
    if not isinstance(kind, type):
        return None
    if issubclass(kind, enum.Enum):
        return name_of(kind)
    return kind.__name__ if kind in (bool, int, float, str) else None
