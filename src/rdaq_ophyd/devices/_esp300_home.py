"""The home search of an ESP300 axis: its modes, and a command that lasts as long as it takes."""

from __future__ import annotations

from ophyd_async.core import (
    AsyncStatus,
    CalculatableTimeout,
    CommandBackend,
    StandardMovable,
    StrictEnum,
    TriggerableCommand,
)

from rdaq_ophyd.devices._motion import PolledAxisLogic


class HomeMode(StrictEnum):
    """Where a home search ends (manual, command ``OR``); that place is then the position ``SH``, usually zero."""

    ZERO = "zero position"
    """Position zero as it is: no search, and it defines nothing."""
    SWITCH_AND_INDEX = "home switch and index"
    SWITCH = "home switch"
    POSITIVE_LIMIT = "positive limit"
    NEGATIVE_LIMIT = "negative limit"
    POSITIVE_LIMIT_AND_INDEX = "positive limit and index"
    NEGATIVE_LIMIT_AND_INDEX = "negative limit and index"

    @classmethod
    def of(cls, code: int) -> HomeMode:
        """By the number that ``OR`` takes and ``OM?`` answers.

        :raises ValueError: it is not one of 0 to 6.
        """
        if code not in range(len(cls)):
            raise ValueError(f"home_mode {code}: 0 to 6 (manual, command OR)")
        return list(cls)[code]

    @property
    def code(self) -> int:
        """The number that ``OR`` takes."""
        return list(type(self)).index(self)


class HomeCommand(TriggerableCommand):
    """A command that lasts as long as it takes; it has a bound of its own."""

    def __init__(self, backend: CommandBackend[[], None], timeout: float | None = None, name: str = "") -> None:
        super().__init__(backend, timeout, name)

    def trigger(self, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT") -> AsyncStatus[None]:
        """Start the search; a stop from now on ends it, also one that comes before anything was sent."""
        with self._logic.interrupts.noted():
            return super().trigger(timeout)

    @property
    def _logic(self) -> PolledAxisLogic:
        axis = self.parent
        if not isinstance(axis, StandardMovable) or not isinstance(axis.movable_logic, PolledAxisLogic):
            raise TypeError(f"{self.name}: a HomeCommand belongs to an Esp300Axis")
        return axis.movable_logic
