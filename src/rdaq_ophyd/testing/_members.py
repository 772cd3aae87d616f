"""The signals, commands and parts of a device, by their dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any, get_type_hints

from bluesky.protocols import Movable
from ophyd_async.core import Command, Device, Signal, SignalR, SignalRW

from rdaq_ophyd.signals import Ask, Connection, LinkDevice, LinkSignalBackend, Measure, Tell
from rdaq_ophyd.stop import SafeState


@dataclass(frozen=True)
class Setting:
    """A signal that can be written over the link.

    :param path: its dotted name in the device.
    :param owner: the device that declares it.
    """

    path: str
    owner: LinkDevice
    signal: SignalRW[Any]
    quantity: Ask | Measure

    @property
    def ask(self) -> Ask | None:
        """The texts on the wire; None where a method of the device writes it."""
        return self.quantity if isinstance(self.quantity, Ask) else None

    def is_safe(self, value: Any) -> bool | None:
        """Whether ``value`` may be written while everything is stopped; None where only the driver knows."""
        return None if self.ask is None else self.ask.is_safe(value)

    @property
    def backend(self) -> LinkSignalBackend[Any]:
        """What reads and writes it."""
        backend = link_backend(self.signal)
        assert backend is not None
        return backend


@dataclass(frozen=True)
class Order:
    """A command that is one text on the wire."""

    path: str
    owner: LinkDevice
    command: Command[..., Any]
    tell: Tell

    @property
    def answered(self) -> bool:
        """Whether it is a question: a command with a result."""
        signature = self.command._connector.backend.signature
        return signature is not None and signature.return_annotation not in (None, type(None))

    @property
    def plain(self) -> bool:
        """Whether it takes no arguments."""
        signature = self.command._connector.backend.signature
        return signature is None or not signature.parameters


def walk(device: Device, prefix: str = "") -> Iterator[tuple[str, Device]]:
    """Every part of ``device`` with its dotted name, the parts of parts too; not the connection."""
    for name, child in device.children():
        if not isinstance(child, Connection):
            yield prefix + name, child
            yield from walk(child, f"{prefix}{name}.")


def find(device: Device, path: str) -> Any:
    """The part with that dotted name; the device itself for an empty one."""
    return reduce(getattr, path.split("."), device) if path else device


def link_backend(signal: Signal[Any]) -> LinkSignalBackend[Any] | None:
    """The backend of a signal over a link; None for another signal."""
    backend = getattr(signal._connector, "_init_backend", None)
    return backend if isinstance(backend, LinkSignalBackend) else None


def readable(device: Device) -> dict[str, SignalR[Any]]:
    """The signals that ask the instrument."""
    found = {}
    for path, part in walk(device):
        if isinstance(part, SignalR) and (backend := link_backend(part)) is not None:
            quantity = backend.value_source.quantity
            if not isinstance(quantity, Ask) or quantity.read:
                found[path] = part
    return found


def one_of_each_kind(signals: Mapping[str, Device]) -> list[str]:
    """Of axes or channels that are alike, or signals of theirs, the first: what is behind them is the same code."""
    first: dict[tuple[type, type, str], str] = {}
    for path, signal in signals.items():
        name = path.rpartition(".")[2] if isinstance(signal, Signal) else ""
        first.setdefault((type(signal), type(signal.parent), name), path)
    return list(first.values())


def link_devices(device: Device) -> dict[str, LinkDevice]:
    """The device and those of its parts that talk to the instrument."""
    found = {"": device, **dict(walk(device))}
    return {path: part for path, part in found.items() if isinstance(part, LinkDevice)}


def safe_states(device: Device) -> list[SafeState]:
    """What the device and its parts declare, as a stop-all finds it."""
    return [state for part in link_devices(device).values() for state in part.safe_states()]


def movables(device: Device) -> dict[str, Any]:
    """The device and its parts that move: not signals, which are settings."""
    found: dict[str, Any] = {"": device, **dict(walk(device))}
    return {path: part for path, part in found.items() if isinstance(part, Movable) and not isinstance(part, Signal)}


def settings(device: Device) -> list[Setting]:
    """The signals that can be written; not the setpoints of what moves, which are written by moving it."""
    setpoints = {id(logic.setpoint) for part in movables(device).values() if (logic := _logic(part)) is not None}
    found = []
    for prefix, owner in link_devices(device).items():
        for name, child in owner.children():
            if not isinstance(child, SignalRW) or id(child) in setpoints:
                continue
            backend = link_backend(child)
            if backend is not None and isinstance(quantity := backend.value_source.quantity, Ask | Measure):
                found.append(Setting(f"{prefix}.{name}" if prefix else name, owner, child, quantity))
    return found


def setpoints(device: Device) -> list[Setting]:
    """The signals whose writing moves something."""
    found = []
    for path, part in movables(device).items():
        logic = _logic(part)
        backend = None if logic is None else link_backend(logic.setpoint)
        if logic is not None and backend is not None and isinstance(part, LinkDevice):
            ask = backend.value_source.quantity
            if isinstance(ask, Ask):
                found.append(Setting(f"{path}.setpoint".lstrip("."), part, logic.setpoint, ask))
    return found


def takers_of_text(device: Device) -> dict[str, tuple[Command[..., Any], list[type]]]:
    """The commands that take a text, each with the types of its arguments."""
    found = {}
    for path, part in walk(device):
        signature = part._connector.backend.signature if isinstance(part, Command) else None
        types = [p.annotation for p in signature.parameters.values()] if signature is not None else []
        if isinstance(part, Command) and str in types:
            found[path] = (part, types)
    return found


def _logic(part: Device) -> Any:
    return getattr(part, "movable_logic", None)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def orders(device: Device) -> list[Order]:
    """The commands that are declared as a text."""
    found = []
    for prefix, owner in link_devices(device).items():
        hints = _hints(type(owner))
        for name, child in owner.children():
            tells = [extra for extra in getattr(hints.get(name), "__metadata__", ()) if isinstance(extra, Tell)]
            if isinstance(child, Command) and tells:
                found.append(Order(f"{prefix}.{name}" if prefix else name, owner, child, tells[0]))
    return found
