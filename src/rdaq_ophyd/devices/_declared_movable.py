"""A part of a declared instrument that moves."""

from __future__ import annotations

import asyncio
from functools import cached_property

from bluesky.protocols import Location
from ophyd_async.core import CalculatableTimeout, StandardMovable, WatchableAsyncStatus

from rdaq_ophyd.declaration import Movable
from rdaq_ophyd.devices._declared_move import DeclaredLogic
from rdaq_ophyd.devices._declared_part import DeclaredPart
from rdaq_ophyd.devices._declared_stop import Halting
from rdaq_ophyd.errors import LimitError


class Moving(DeclaredPart, StandardMovable[float]):
    """A part whose file declares it movable."""

    @property
    def declared_move(self) -> Movable:
        """The file's words about it."""
        assert self.scope.movable is not None  # the factory takes this class for such scopes alone
        return self.scope.movable

    @cached_property
    def movable_logic(self) -> DeclaredLogic:
        """How it moves."""
        movable = self.declared_move
        halting = self if isinstance(self, Halting) else None
        return DeclaredLogic(
            setpoint=getattr(self, movable.setpoint),
            readback=getattr(self, movable.readback),
            movable=movable,
            limits=self._limits,
            check_ready=self._check_ready,
            still=None if movable.done is None else self._still,
            send_stop=_nothing if halting is None else halting.halt,
            follow_stop=_nothing if halting is None else halting.follow_stop,
            mocked=lambda: self._mock is not None,
        )

    def _limits(self) -> tuple[float, float] | None:
        return self._link_connector.backend_of(self.movable_logic.setpoint).limits

    async def _still(self) -> bool:
        done = self.declared_move.done
        return self._mock is not None or done is None or await self.says(done.ask, done.reply)

    async def _check_ready(self) -> None:
        """Look at what the file requires before a move.

        :raises LimitError: a signal has another value.
        """
        for name, wanted in self.declared_move.require.items() if self._mock is None else ():
            signal = getattr(self, name)
            wanted = self.channel.text(wanted) if isinstance(wanted, str) else wanted
            now = await signal.get_value(cached=False)
            if now != wanted:
                raise LimitError(
                    f"{self.name}: is not sent anywhere while {signal.name} is {now!s}", hint=f"it must be {wanted!s}"
                )

    def set(
        self, new_position: float, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT"
    ) -> WatchableAsyncStatus[float]:
        """Go to ``new_position``; a stop from now on ends that, also one that comes before anything was sent."""
        with self.movable_logic.interrupts.noted():
            return super().set(new_position, timeout)

    async def locate(self) -> Location[float]:
        """Where it was sent last and where it is, asked now."""
        logic = self.movable_logic
        setpoint, readback = await asyncio.gather(
            logic.setpoint.get_value(cached=False), logic.readback.get_value(cached=False)
        )
        return Location(setpoint=setpoint, readback=readback)

    async def stop(self, success: bool = False) -> None:
        """End a move in progress; what is sent to the instrument is what its file declares.

        :param success: whether the move then counts as succeeded.
        """
        await super().stop(success)
        if success:
            self.movable_logic.interrupts.pardoned = self.movable_logic.interrupts.count

    def note_stop(self) -> None:
        """A move in progress, and one not yet sent, end as interrupted."""
        self.movable_logic.interrupts.add()


def _nothing() -> None:
    """No stop is declared."""
