"""What a plan finds by its capability is of the kind and in the units in which plans set it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ._signals import Scope, Signal

Path = tuple[str | int, ...]


class Kind(NamedTuple):
    """What a capability needs: the types and the units of its signal."""

    types: tuple[str, ...]
    units: str | None


KINDS: Mapping[str, Kind] = {
    "wavelength": Kind(("float", "int"), "nm"),
    "exposure": Kind(("float",), "s"),
    "shutter": Kind(("bool", "enum"), None),
    "emission": Kind(("bool", "enum"), None),
}
NEVER_AGAIN = frozenset({"wavelength", "shutter", "emission"})
"""What moves, opens or emits is never written by itself."""


def check_capabilities(path: tuple[str, ...], scope: Scope) -> Iterator[tuple[Path, str]]:
    """Signals that are mapped, and those that have a capability's own name and can be set."""
    for capability, name in scope.capabilities:
        place = (*path, "capabilities", capability)
        if name is None:
            signal = scope.signal.get(capability)
            if signal is not None and signal.tell:
                place = (*path, "signal", capability)
                yield from ((place, what) for what in _wrong(capability, capability, signal))
        elif name not in scope.signal:
            yield place, no_signal(name, scope)
        else:
            yield from ((place, what) for what in _wrong(capability, name, scope.signal[name]))
        if capability in NEVER_AGAIN:
            yield from _restored(path, name or capability, scope, f"is the {capability}")
    if scope.movable is not None:
        yield from _restored(path, scope.movable.setpoint, scope, "is what moves it")


def _restored(path: tuple[str, ...], name: str, scope: Scope, why: str) -> Iterator[tuple[Path, str]]:
    if name in scope.signal and scope.signal[name].restore:
        what = f"{name!r} {why}: what moves, opens or emits is not written again by itself; leave it out"
        yield (*path, "signal", name, "restore"), what


def _wrong(capability: str, name: str, signal: Signal) -> Iterator[str]:
    kind = KINDS[capability]
    if signal.type not in kind.types:
        yield f"{name!r} is a {signal.type}; plans set the {capability} as {' or '.join(kind.types)}"
    elif kind.units is not None and signal.units != kind.units:
        said = f"in {signal.units}" if signal.units else "without units"
        yield f"{name!r} is {said}; plans set the {capability} in {kind.units}: give another name to other quantities"


def no_signal(name: str, scope: Scope) -> str:
    """A name that is none, and those that there are."""
    return f"there is no signal {name!r} here; signals: {', '.join(scope.signal) or 'none'}"
