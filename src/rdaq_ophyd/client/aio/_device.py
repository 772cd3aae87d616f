"""Devices and signals of a server, as attributes with tab completion, on an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from rdaq_ophyd.client import _ask
from rdaq_ophyd.client._device import SET, RemoteDevice, RemoteSignal
from rdaq_ophyd.client._facts import Location
from rdaq_ophyd.client._names import DeviceFacts, SignalFacts
from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.wire import messages

from ._call import AsyncCalls
from ._words import same_words


@same_words(RemoteSignal)
class AsyncSignal(SignalFacts):
    """A signal: ``await client.devices.x.velocity.set(2.0)``; see :class:`rdaq_ophyd.client.RemoteSignal`."""

    _calls: AsyncCalls

    async def get(self) -> Any:
        return await self._calls.do(_ask.value(self.name))

    async def set(self, value: Any, *, timeout: float = SET) -> Any:
        return await self._calls.do(_ask.put(self.name, value, timeout))


@same_words(RemoteDevice)
class AsyncDevice(DeviceFacts):
    """A device, or a part of one; see :class:`rdaq_ophyd.client.RemoteDevice`."""

    _calls: AsyncCalls
    _signal_class = AsyncSignal

    trouble = ""

    def _describe(self) -> None:
        raise RdaqError(f"the signals of {self.name} are not known: {self.trouble}", hint="await client.refresh()")

    async def read(self) -> dict[str, Any]:
        return await self._calls.do(_ask.read(self.name))

    async def locate(self) -> Location:
        return (await self._calls.do(_ask.locate(self.name)))[self.name]

    async def trigger(self, *, timeout: float = 0.0) -> dict[str, Any]:
        return await self._calls.do(_ask.trigger(self.name, timeout))

    async def reconnect(self) -> None:
        message = await self._calls.do(_ask.reconnect(self.name))
        self._note(message)
        self._take(message)

    async def moving(
        self, target: float, *, relative: bool = False, units: str | None = None
    ) -> AsyncIterator[messages.MoveProgress]:
        """Move, and say where it is; whoever leaves the loop, or is cancelled, stops the move.

        :param units: the unit that is meant; it must be the axis' own. None: that one.
        :raises LimitError: outside its limits; nothing was sent.
        :raises UnitsError: it moves in another unit; nothing was sent.
        :raises EngineBusy: a plan is under way.
        """
        if units is not None:
            self._check_units(await self.locate(), units)
        request = messages.MoveRequest(name=self.name, target=target, relative=relative)
        async for progress in self._calls.follow("Move", request):
            yield progress

    async def move(
        self,
        target: float,
        *,
        relative: bool = False,
        units: str | None = None,
        watch: Callable[[messages.MoveProgress], object] | None = None,
    ) -> float:
        """Move and wait; where it is then. Whoever is cancelled stops the move.

        :param units: as for :meth:`moving`.
        :param watch: called with each progress.
        """
        last = float("nan")
        async for progress in self.moving(target, relative=relative, units=units):
            last = progress.current
            if watch is not None:
                watch(progress)
        return last

    async def stop(self) -> None:
        await self._calls.do(_ask.stop_device(self.name))
