"""What a person at the prompt keeps, on an event loop."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from rdaq_ophyd.client import _ask
from rdaq_ophyd.client._facts import Session
from rdaq_ophyd.client._keeping import Keeping, detectors_of
from rdaq_ophyd.client._names import Devices

from ._call import AsyncCalls
from ._device import AsyncDevice
from ._runs import AsyncRun
from ._words import same_words


@same_words(Keeping)
class AsyncKeeping:
    """A part of :class:`AsyncClient`."""

    _calls: AsyncCalls

    @property
    def devices(self) -> Devices[AsyncDevice]:
        raise NotImplementedError

    async def run(self, plan: str, **arguments: Any) -> AsyncRun:
        raise NotImplementedError

    async def count(self, *detectors: str, num: int = 1, delay: float = 0.0, progress: bool = False) -> AsyncRun:
        names = list(detectors) or detectors_of(self.devices)
        return await self.run("count", progress=progress, detectors=names, num=num, delay=delay)

    async def move(self, targets: Mapping[str, float], *, relative: bool = False, progress: bool = False) -> None:
        await self.run("move", progress=progress, relative=relative, **_ask.move(targets))

    @property
    def session(self) -> Coroutine[Any, Any, Session]:
        return self._calls.do(_ask.session())

    async def set_metadata(self, key: str, value: Any) -> None:
        await self._calls.do(_ask.set_metadata(key, value))

    async def forget_metadata(self, key: str) -> None:
        await self._calls.do(_ask.forget_metadata(key))

    async def save_position(self, name: str, *axes: str) -> None:
        await self.run("save_position", name=name, axes=list(axes) or None)

    async def put_position(self, name: str, axes: Mapping[str, float]) -> None:
        await self._calls.do(_ask.put_position(name, axes))

    async def restore_position(self, name: str, *, progress: bool = False) -> None:
        await self.run("restore_position", progress=progress, name=name)

    async def forget_position(self, name: str) -> None:
        await self._calls.do(_ask.put_position(name, {}))

    async def set_calibration(self, name: str, value: float, why: str) -> None:
        await self.run("set_calibration", **_ask.calibration(name, value, why))

    async def undo_calibration(self, name: str, why: str) -> None:
        await self._calls.do(_ask.undo_calibration(name, why))

    async def suspend(self, kind: str, signal: str, /, **numbers: float) -> None:
        await self._calls.do(_ask.suspend(kind, signal, numbers))

    async def remove_suspender(self, which: str) -> None:
        await self._calls.do(_ask.remove_suspender(which))
