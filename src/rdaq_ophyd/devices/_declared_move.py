"""How a declared instrument moves: a setpoint is written, then it is looked at until it has arrived."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ophyd_async.core import TimeoutCalculator

from rdaq_ophyd.declaration import Movable
from rdaq_ophyd.devices._motion import SETTLE, MotionLogic, check_target
from rdaq_ophyd.errors import MoveInterrupted, MoveTimeout


@dataclass
class DeclaredLogic(MotionLogic):
    """Moves what the file declares movable.

    :param movable: the file's words about it.
    :param limits: lowest and highest target, as they are known now.
    :param check_ready: raises when the instrument would not follow the setpoint.
    :param still: asks the instrument whether the motion ended; None where it cannot tell.
    :param mocked: whether there is no instrument.
    """

    movable: Movable
    limits: Callable[[], tuple[float, float] | None]
    check_ready: Callable[[], Awaitable[None]]
    still: Callable[[], Awaitable[bool]] | None
    mocked: Callable[[], bool]

    async def check_move(self, new_position: float) -> None:
        """Refuse a target that is no finite number or outside the limits, and a move that would not be followed.

        :raises LimitError: names device, target and range.
        """
        check_target(self.name, new_position, self.limits())
        await self.check_ready()

    async def calculate_timeout(self, old_position: float, new_position: float) -> float:  # noqa: ARG002 - the interface's
        """Seconds, as the file says."""
        return self.movable.timeout

    async def move(self, new_position: float, timeout: TimeoutCalculator) -> None:
        """Write the setpoint and wait until it is reached. What goes wrong sends the stop, where there is one.

        :raises LinkClosed: the link was lost on the way.
        :raises MoveInterrupted: something stopped it, before it set out or on its way.
        :raises MoveTimeout: it took too long.
        """
        before = self.interrupts.at_call()
        with self.interrupts.excusing(before):
            if self.interrupts.count != before:
                raise MoveInterrupted(
                    f"{self.name}: told to stop before it was sent to {new_position:g}; nothing was sent"
                )
            async with self.begun(lambda: self.setpoint.set(new_position), before) as answered:
                if not answered:
                    raise MoveInterrupted(f"{self.name}: told to stop as it was being sent to {new_position:g}")
                await self._arrive(new_position, timeout(), before)

    async def _arrive(self, target: float, seconds: float | None, before: int) -> None:
        movable, clock = self.movable, asyncio.get_running_loop().time
        deadline = math.inf if seconds is None else clock() + seconds
        dwell = 0.0 if self.mocked() else movable.dwell
        near_since = ended = None
        while True:
            still = self.still is None or await self.still()
            # Uncached, and published to subscribers: a staged read after the move sees where it ended.
            position = await self.readback.get_value(cached=False)
            now = clock()
            if self.interrupts.count != before:
                raise MoveInterrupted(f"{self.name}: told to stop on its way to {target:g}; was seen at {position:g}")
            near = still and (movable.tolerance is None or abs(position - target) <= movable.tolerance)
            near_since = (near_since or now) if near else None
            if near_since is not None and now - near_since >= dwell:
                return
            ended = (ended or now) if still and self.still is not None and not near else None
            if ended is not None and now - ended > SETTLE + dwell:
                raise MoveInterrupted(
                    f"{self.name}: ended at {position:g}, not {target:g} (tolerance {movable.tolerance:g})",
                    hint="somebody else stopped it (front panel, another program), or the tolerance is too tight",
                )
            if now > deadline:
                raise MoveTimeout(
                    f"{self.name}: at {position:g} after {seconds:.1f} s on its way to {target:g}",
                    hint="is something in the way, or the time-out in its file too short?",
                )
            await asyncio.sleep(movable.poll)
