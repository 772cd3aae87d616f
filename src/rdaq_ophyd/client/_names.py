"""Devices and signals of a server by name: all that the clients share, and that sends nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from rdaq_ophyd.errors import UnitsError, UnknownName
from rdaq_ophyd.wire import messages

from ._facts import Location, limits


class SignalFacts:
    """What is known of a signal.

    :ivar units: as on the instrument.
    :ivar limits: lowest and highest value, None where none are known.
    :ivar choices: of an enum.
    """

    def __init__(self, calls: Any, message: messages.Signal) -> None:
        self._calls, self.name = calls, message.name
        self.units, self.choices = message.units, list(message.choices)
        self.dtype, self.writable, self.source = message.dtype, message.writable, message.source
        self.limits = limits(message)

    def __repr__(self) -> str:
        about = ", ".join(filter(None, [self.dtype, self.units, "" if self.writable else "read only"]))
        return f"{self.name} ({about})"


class DeviceFacts(ABC):
    """What is known of a device, or a part of one.

    :ivar capabilities: what it can do.
    :ivar stop_capability: how, and how soon, it stops.
    """

    _signal_class: type[Any]

    def __init__(self, calls: Any, message: messages.Device) -> None:
        self._calls, self.name = calls, message.name
        self._children: dict[str, Any] | None = None
        self._note(message)

    def _note(self, message: messages.Device) -> None:
        """What it is now; its children are asked for anew."""
        self.kind, self.units = message.kind, message.units
        self.capabilities, self.stop_capability = list(message.capabilities), message.stop
        self.limits = limits(message)
        self._children = None

    def _check_units(self, place: Location, units: str) -> None:
        if units != place.units:
            raise UnitsError(
                f"{self.name} moves in {place.units or 'a number without unit'}, not {units!r}",
                hint=f"give the position in {place.units or 'no unit'}",
            )

    @abstractmethod
    def _describe(self) -> None:
        """See to it that the children are known."""

    @property
    def children(self) -> dict[str, Any]:
        """Its signals and parts, by name."""
        if self._children is None:
            self._describe()
        return self._children or {}

    def _take(self, message: messages.Device) -> None:
        """Its description with signals and parts."""
        self._children = {}
        for signal in message.signals:
            self._children[signal.name.rpartition(".")[2]] = self._signal_class(self._calls, signal)
        for part in message.parts:
            child = type(self)(self._calls, part)
            child._take(part)
            self._children[part.name.rpartition(".")[2]] = child

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.children[name]
        except KeyError:
            guess = UnknownName.among(f"part of {self.name}", name, self.children)
            raise AttributeError(str(guess)) from guess

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.children})

    def __repr__(self) -> str:
        return f"{self.name} ({self.kind}: {', '.join(self.capabilities) or 'nothing known'})"


class Devices[D: DeviceFacts]:
    """All devices of a rig, by attribute and by name.

    What the server tells after it was started anew is noted in the same objects, so that those at hand stay good.

    :ivar failures: by name: why a device is not there.
    """

    def __init__(self, make: Callable[[messages.Device], D]) -> None:
        self._make = make
        self._found: dict[str, D] = {}
        self.failures: Mapping[str, str] = {}

    def _note(self, reply: messages.ListDevicesReply) -> Self:
        before, self._found = self._found, {}
        for message in reply.devices:
            if (known := before.get(message.name)) is None:
                self._found[message.name] = self._make(message)
            else:
                known._note(message)
                self._found[message.name] = known
        self.failures = dict(reply.failures)
        return self

    def __getitem__(self, name: str) -> Any:
        """A device; dots reach into it.

        :raises UnknownName: with the nearest names, or why the device is not there.
        """
        head, *rest = name.split(".")
        if head in self.failures:
            raise UnknownName(f"device {head!r} is not available: {self.failures[head]}")
        if head not in self._found:
            raise UnknownName.among("device", head, self._found)
        found: Any = self._found[head]
        for part in rest:
            children = getattr(found, "children", {})
            if part not in children:
                raise UnknownName.among(f"part of {found.name}", part, children)
            found = children[part]
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownName as error:
            raise AttributeError(str(error)) from error

    def __iter__(self) -> Iterator[D]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._found})
