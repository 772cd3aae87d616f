"""What a stop-all acts on: everything that connected, until it is closed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ._verdict import Verdict


class Target(Protocol):
    """Something that can be made safe from any thread, without an event loop."""

    @property
    def first(self) -> bool:
        """Light and shutters: before everything that moves."""
        ...

    @property
    def bound(self) -> float:
        """Seconds within which ``confirm`` ends."""
        ...

    def devices(self) -> list[str]:
        """Names, for verdicts that it cannot give itself."""
        ...

    def halt(self) -> None:
        """Put the stop on the wire. Waits for nothing; what goes wrong is for ``confirm`` to tell."""
        ...

    def confirm(self) -> list[Verdict]:
        """Wait until it is safe, with stronger means where needed; one verdict for each device."""
        ...

    def recheck(self) -> list[Verdict]:
        """Ask once more, before a reset, and write nothing that is stronger than a question."""
        ...


@runtime_checkable
class Lasting(Protocol):
    """A target of which something may go on for a while after a stop-all, and must not outlast a reset."""

    def left_over(self, seconds: float) -> str:
        """Wait so long for its end at most; what is left of it then, in words; empty: nothing."""
        ...


#: Weak, so that a device that nobody closed can go: it takes its camera or link with it.
_targets: dict[int, weakref.ref[Target]] = {}
_observers: list[Callable[[], None]] = []


def register(target: Target) -> None:
    """From now on ``target`` is part of every stop-all."""
    number = id(target)
    if number not in _targets:
        _targets[number] = weakref.ref(target, lambda _: _targets.pop(number, None))
        _tell()


def unregister(target: Target) -> None:
    """It is gone."""
    if _targets.pop(id(target), None) is not None:
        _tell()


def observe(observer: Callable[[], None]) -> Callable[[], None]:
    """Call ``observer`` after each change of the targets, in the thread that changed them.

    :return: ends that.
    """
    _observers.append(observer)
    return lambda: _observers.remove(observer)


def _tell() -> None:
    for observer in _observers:
        observer()


def targets() -> list[Target]:
    """All of them, light and shutters first. Takes no lock: a signal handler may ask in mid-registration."""
    found = [target for known in list(_targets.values()) if (target := known()) is not None]
    return sorted(found, key=lambda target: not target.first)
