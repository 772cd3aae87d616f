"""Light across a pause: shutters and emission stay as they are, and a plan goes on only when they still are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from bluesky.protocols import Locatable, Readable
from bluesky.utils import maybe_await
from ophyd_async.core import Device, SignalR

from rdaq_ophyd.capabilities import EmissionControl, ShutterControl

__all__ = ["HeldStates", "Unknown", "is_told"]
BOUND = 3.0
"""Seconds in which a shutter or a laser must tell its state."""


class Unknown:
    """A state that could not be read. It equals nothing, not even another one."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __repr__(self) -> str:
        return f"unknown ({self.why})"


class HeldStates:
    """What the shutters and lasers were when a plan paused.

    :param devices: the devices at the time of the call; their parts are looked at too.
    """

    def __init__(self, devices: Callable[[], Iterable[Any]]) -> None:
        self._devices = devices
        self._before: Mapping[str, Any] | None = None

    async def note(self) -> None:
        """Read them all, each within its bound; never raises. A pause within a suspension keeps what was noted."""
        if self._before is None:
            self._before = await self._read()

    async def note_anew(self) -> None:
        """The same, whatever was noted before."""
        self._before = await self._read()

    def forget(self) -> None:
        """The plan goes on, or is over."""
        self._before = None

    async def changes(self) -> list[str]:
        """What is different now, or cannot be told: one line each."""
        if (before := self._before) is None:
            return []
        now = await self._read()
        absent = Unknown("it is not there")
        return [
            f"{name} was {was!r} when the plan paused and is {now.get(name, absent)!r} now"
            for name in sorted({*before, *now})
            if not _same(was := before.get(name, absent), now.get(name, absent))
        ]

    async def _read(self) -> Mapping[str, Any]:
        found = {name: part for device in self._devices() for name, part in controls(device)}
        values = await asyncio.gather(*map(_state, found.values()))
        return dict(zip(found, values, strict=True))


def is_told(change: str, text: str) -> bool:
    """Whether it is one of the changes in a text that joins them by semicolons.

    Of a condition with a value (bluesky's ``Signal power = 0.1 fell below …``) the value may be another one by now.
    """
    name, equals, _ = change.partition(" = ") if change.startswith("Signal ") else (change, "", "")
    return f"; {name}{equals or ';'}" in f"; {text};"


def _same(before: Any, now: Any) -> bool:
    return bool(before == now) and not isinstance(before, Unknown)


def controls(device: Any) -> Iterator[tuple[str, Any]]:
    """The shutters and emission switches of a device and its parts, each with its full name."""
    if isinstance(device, ShutterControl):
        yield f"{getattr(device, 'name', device)}.shutter", device.shutter
    if isinstance(device, EmissionControl):
        yield f"{getattr(device, 'name', device)}.emission", device.emission
    if isinstance(device, Device):
        for _, child in device.children():
            yield from controls(child)


async def _state(part: Any) -> Any:
    try:
        async with asyncio.timeout(BOUND):
            return await _ask(part)
    except TimeoutError:
        return Unknown(f"no answer within {BOUND:g} s")
    except Exception as error:  # noqa: BLE001  whatever it is, the state is unknown, and the person is told why
        return Unknown(f"{type(error).__name__}: {error}")


async def _ask(part: Any) -> Any:
    if isinstance(part, SignalR):
        return await part.get_value(cached=False)
    if isinstance(part, Locatable):
        return (await maybe_await(part.locate()))["readback"]
    if isinstance(part, Readable):
        return {key: reading["value"] for key, reading in (await maybe_await(part.read())).items()}
    return Unknown("it cannot be read")
