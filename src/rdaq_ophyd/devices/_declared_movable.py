"""A part of a declared instrument that moves."""

from __future__ import annotations

from functools import cached_property

from rdaq_ophyd.declaration import Movable
from rdaq_ophyd.devices._declared_move import DeclaredLogic
from rdaq_ophyd.devices._declared_part import DeclaredPart
from rdaq_ophyd.devices._declared_stop import Halting
from rdaq_ophyd.devices._motion import Interruptible
from rdaq_ophyd.errors import LimitError


class Moving(DeclaredPart, Interruptible):
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
        logic = DeclaredLogic(
            setpoint=getattr(self, movable.setpoint),
            readback=getattr(self, movable.readback),
            movable=movable,
            limits=self._limits,
            check_ready=self._check_ready,
            still=None if movable.done is None else self._still,
            mocked=lambda: self._mock is not None,
        )
        if isinstance(self, Halting):
            logic.send_stop, logic.follow_stop = self.halt, self.follow_stop
        return logic

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

    def note_stop(self) -> None:
        """A move in progress, and one not yet sent, end as interrupted."""
        self.movable_logic.interrupts.add()
