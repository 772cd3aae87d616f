"""What axes on a link have in common: a move that is polled, can be interrupted, and checks where it ended."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ophyd_async.core import MovableLogic, SignalR, TimeoutCalculator

from rdaq_ophyd.errors import LimitError, MoveInterrupted, MoveTimeout, RdaqError

POLL = 0.02
"""Seconds between two questions whether the motion is done: about two exchanges at 19200 baud."""
SETTLE = 0.5
"""Seconds that an axis may take to come within its tolerance after it reported that the motion is done."""
MARGIN = 5.0
"""Seconds added to the calculated duration of a move before it counts as stuck."""


@dataclass
class Interrupts:
    """Counts stops, so that a move that was stopped knows it. Counting needs no lock and no event loop."""

    count: int = 0


@dataclass
class PolledAxisLogic(MovableLogic[float]):
    """Moves an axis that answers when asked whether it is done.

    :param done: True when the axis stands still.
    :param velocity: in units per second.
    :param acceleration: in units per second squared; ``deceleration`` too.
    :param low_limit: software limit; ``high_limit`` too.
    :param send_stop: puts the stop command on the wire; from any thread, without waiting.
    :param raise_errors: raises what the instrument reported about this axis.
    :param tolerance: how far from the target the axis may stand at the end.
    """

    done: SignalR[bool]
    velocity: SignalR[float]
    acceleration: SignalR[float]
    deceleration: SignalR[float]
    low_limit: SignalR[float]
    high_limit: SignalR[float]
    send_stop: Callable[[], None]
    raise_errors: Callable[[], Awaitable[None]]
    tolerance: float = 0.01
    interrupts: Interrupts = field(default_factory=Interrupts)

    async def stop(self) -> None:
        """Put the stop on the wire; waits for nothing."""
        self.send_stop()

    async def check_move(self, new_position: float) -> None:
        """Refuse a target that is no number or outside the software limits.

        :raises LimitError: names axis, target and range.
        """
        name = self.readback.name
        if not math.isfinite(new_position):
            raise LimitError(f"{name}: {new_position} is not a finite number", hint="give a position")
        low, high = await asyncio.gather(self.low_limit.get_value(), self.high_limit.get_value())
        if not low <= new_position <= high:
            units, _ = await self.get_units_precision()
            unit = f" {units}" if units else ""
            raise LimitError(
                f"{name}: target {new_position:g}{unit} is outside the software limits",
                hint=f"allowed: {low:g} to {high:g}{unit}",
            )

    async def calculate_timeout(self, old_position: float, new_position: float) -> float:
        """Seconds for the trajectory, half as much again, and a margin.

        :raises LimitError: velocity or acceleration is zero.
        """
        speed, up, down = await asyncio.gather(
            self.velocity.get_value(), self.acceleration.get_value(), self.deceleration.get_value()
        )
        for signal, value in ((self.velocity, speed), (self.acceleration, up), (self.deceleration, down)):
            if value <= 0:
                raise LimitError(f"{signal.name}: is {value:g}, so the axis cannot move", hint="set it above zero")
        seconds: float = abs(new_position - old_position) / speed + speed / up + speed / down
        return 1.5 * seconds + MARGIN

    async def move(self, new_position: float, timeout: TimeoutCalculator) -> None:
        """Move, wait until done, and make sure that the axis arrived. What goes wrong stops the axis.

        :raises InstrumentError: the instrument reported an error of this axis.
        :raises MoveInterrupted: something else stopped it on its way.
        :raises MoveTimeout: it took too long.
        """
        before = self.interrupts.count
        try:
            await self.setpoint.set(new_position)
            await self.wait_done(timeout(), f"on its way to {new_position:g}")
            await self.raise_errors()
            await self._check_arrival(new_position, before)
        except BaseException:
            if self.interrupts.count == before:
                with contextlib.suppress(RdaqError):  # the first error is the one to tell
                    self.send_stop()
            raise

    async def wait_done(self, seconds: float | None, doing: str) -> None:
        """Poll until the axis stands still.

        :raises MoveTimeout: it still moves after ``seconds``.
        """
        deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        while not await self.done.get_value(cached=False):
            if deadline is not None and asyncio.get_running_loop().time() > deadline:
                raise MoveTimeout(
                    f"{self.readback.name}: still moving after {seconds:.1f} s {doing}; it was told to stop",
                    hint="is the stage blocked, or the velocity lower than asked?",
                )
            await asyncio.sleep(POLL)

    async def _check_arrival(self, target: float, before: int) -> None:
        deadline = asyncio.get_running_loop().time() + SETTLE
        while True:
            # Uncached, and published to subscribers: a staged read after the move sees where it ended.
            position = await self.readback.get_value(cached=False)
            if self.interrupts.count != before:
                raise MoveInterrupted(
                    f"{self.readback.name}: told to stop on its way to {target:g}; stands at {position:g}"
                )
            if abs(position - target) <= self.tolerance:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise MoveInterrupted(
                    f"{self.readback.name}: stands at {position:g}, not at {target:g} (tolerance {self.tolerance:g})",
                    hint="somebody else stopped it (front panel, another program), or the tolerance is too tight",
                )
            await asyncio.sleep(POLL)
