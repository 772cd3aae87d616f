"""Devices that a script makes itself, and callbacks and awaitables of its plan: the rig knows them by number."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from bluesky.utils import NoReplayAllowed

from rdaq_ophyd.scripts._stand_in import NO_REPLAY
from rdaq_ophyd.scripts._vocabulary import LOCAL


class Local:
    """All of them."""

    def __init__(self) -> None:
        self._devices: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._callbacks: list[Callable[[str, dict[str, Any]], Any]] = []

    def is_device(self, value: Any) -> bool:
        """Whether the rig's engine could do something with it."""
        return isinstance(getattr(value, "name", None), str) and any(callable(getattr(value, m, None)) for m in LOCAL)

    def described(self, device: Any) -> list[Any]:
        """Number, name, methods and hints."""
        if id(device) not in self._numbers:
            self._numbers[id(device)] = len(self._devices)
            self._devices.append(device)  # kept, so that the number stays its own
        methods = sorted(method for method in LOCAL if callable(getattr(device, method, None)))
        return [self._numbers[id(device)], device.name, methods, dict(getattr(device, "hints", {}))]

    def __getitem__(self, number: int) -> Any:
        return self._devices[number]

    def callback(self, function: Callable[[str, dict[str, Any]], Any]) -> int:
        """Number a callback."""
        self._callbacks.append(function)
        return len(self._callbacks) - 1

    def tell(self, number: int, name: str, document: dict[str, Any]) -> None:
        """Give a document to one."""
        self._callbacks[number](name, document)

    async def do(self, number: int, method: str, args: Iterable[Any]) -> Any:
        """What the engine asks of one of the devices."""
        try:
            found = getattr(self._devices[number], method)(*args)
            if inspect.isawaitable(found):
                found = await found
            elif hasattr(found, "__aiter__"):
                found = [each async for each in found]
        except NoReplayAllowed:
            return NO_REPLAY
        return list(found) if method in ("collect", "collect_pages") else found
