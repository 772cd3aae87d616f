"""The home search of an ESP300 axis, as a command that lasts as long as it takes."""

from __future__ import annotations

from ophyd_async.core import AsyncStatus, CalculatableTimeout, CommandBackend, StandardMovable, TriggerableCommand

from rdaq_ophyd.devices._motion import PolledAxisLogic


class HomeCommand(TriggerableCommand):
    """A command that lasts as long as it takes; it has a bound of its own."""

    def __init__(self, backend: CommandBackend[[], None], timeout: float | None = None, name: str = "") -> None:
        super().__init__(backend, timeout, name)

    def trigger(self, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT") -> AsyncStatus[None]:
        """Start the search; a stop from now on ends it, also one that comes before anything was sent."""
        axis = self.parent
        if not isinstance(axis, StandardMovable) or not isinstance(axis.movable_logic, PolledAxisLogic):
            raise TypeError(f"{self.name}: a HomeCommand belongs to an Esp300Axis")
        with axis.movable_logic.interrupts.noted():
            return super().trigger(timeout)
