"""A shutter under Micro-Manager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ophyd_async.core import SignalRW, StandardReadable, soft_signal_rw
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.errors import ChangeUnconfirmed, LimitError
from rdaq_ophyd.stop import latch

from ._confirm import POLL
from ._interrupts import Interrupts
from ._mm_core import MicroManager
from ._mm_device import MicroManagerConnector, Session


class MicroManagerShutter(StandardReadable):
    """A shutter: ``shutter`` is True when it is open. A stop-all closes it.

    :param mm: the core, shared with the other devices of the configuration; or the path of its file.
    :param shutter: its label in the configuration.
    :param name: of the device.
    :param seconds: within which the adapter must say that it followed.
    """

    shutter: SignalRW[bool]
    """True is open."""

    def __init__(self, mm: MicroManager | str, shutter: str, name: str = "", *, seconds: float = 5.0) -> None:
        self._label, self._seconds = shutter, seconds
        core = MicroManager.of(mm)
        self._session = Session(core, shutter, self, _close(shutter), _is_closed(shutter), first=True)
        self._closings = Interrupts()
        self._mocked = False
        self._session.on_halt(self._closings.add)
        with self.add_children_as_readables(Format.HINTED_UNCACHED_SIGNAL):
            self.shutter = soft_signal_rw(bool, False, getter=self._read, setter=self._set)
        super().__init__(name=name, connector=MicroManagerConnector(self._session, self._open))

    async def _open(self) -> None:
        await self._session.open("ShutterDevice")

    async def _read(self) -> bool:
        if self._session.mock:
            return self._mocked
        what = f"{self.name} cannot be read"
        return bool(await self._session.mm.ask(self._label, what, lambda core: core.getShutterOpen(self._label)))

    async def _set(self, value: bool | None) -> bool:
        if not isinstance(value, bool):
            raise LimitError(f"{self.name}: {value!r} is neither open nor closed", hint="True opens, False closes")
        if self._session.mock:
            self._mocked = value
            return value
        closings = self._closings.count

        def send(core: Any) -> None:
            if value:
                latch.check(f"{self.name}: opening")
                if self._closings.count != closings:
                    raise ChangeUnconfirmed(f"{self.name}: told to close before it opened; nothing was sent")
            core.setShutterOpen(self._label, value)

        await self._session.mm.ask(self._label, f"{self.name} does not move", send)
        await self._follow(value)
        return value

    async def _follow(self, value: bool) -> None:
        mm, label = self._session.mm, self._label
        clock = asyncio.get_running_loop().time
        end = clock() + self._seconds
        while True:
            what = f"{self.name} does not answer"
            busy, is_open = await mm.ask(label, what, lambda core: (core.deviceBusy(label), core.getShutterOpen(label)))
            if not busy and bool(is_open) == value:
                return
            if clock() > end:
                wanted, other = ("open", "closed") if value else ("closed", "open")
                seen = "moving" if busy else other
                raise ChangeUnconfirmed(
                    f"{self.name}: told to be {wanted}, it is still {seen} after {self._seconds:g} s",
                    hint="look at the shutter itself",
                )
            await asyncio.sleep(POLL)

    def halt(self) -> None:
        """Close it from any thread, without waiting."""
        self._session.halt()

    def close(self) -> None:
        """Let go of it, open or closed as it is; the last device closed unloads Micro-Manager."""
        self._session.close()


def _close(label: str) -> Callable[[Any], None]:
    return lambda core: core.setShutterOpen(label, False)


def _is_closed(label: str) -> Callable[[Any], bool]:
    return lambda core: not core.deviceBusy(label) and not core.getShutterOpen(label)
