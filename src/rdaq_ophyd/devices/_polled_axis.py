"""An axis that is asked whether it is done: its move is polled, can be stopped, and checks where it ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from ophyd_async.core import SignalR, TimeoutCalculator

from rdaq_ophyd.devices._confirm import POLL, until_still
from rdaq_ophyd.devices._motion import MARGIN, MotionLogic, check_target, out_of_reach
from rdaq_ophyd.errors import LimitError, LinkClosed, MoveInterrupted, MoveTimeout
from rdaq_ophyd.signals import Sample, tighter


@dataclass
class PolledAxisLogic(MotionLogic):
    """Moves an axis that answers when asked whether it is done.

    :param done: True when the axis stands still.
    :param velocity: in units per second.
    :param acceleration: in units per second squared; ``deceleration`` too.
    :param low_limit: software limit; ``high_limit`` too.
    :param raise_errors: raises what the instrument reported about this axis.
    :param forget_errors: logs and drops what the instrument reported about this axis.
    :param done_now: the same as ``done``, asked ahead of all that waits for the port.
    :param last_seen: where the axis was seen last, and when; None before that.
    :param tolerance: how far from the target the axis may stand at the end.
    :param limits: lowest and highest target that the profile allows, whatever the instrument says.
    :param why_short: asks the instrument why the axis may stand still before its target; empty where it cannot tell.
    """

    done: SignalR[bool]
    velocity: SignalR[float]
    acceleration: SignalR[float]
    deceleration: SignalR[float]
    low_limit: SignalR[float]
    high_limit: SignalR[float]
    raise_errors: Callable[[], Awaitable[None]]
    forget_errors: Callable[[], Awaitable[None]]
    done_now: Callable[[], Awaitable[bool]]
    last_seen: Callable[[], Sample | None]
    tolerance: float = 0.01
    limits: tuple[float, float] | None = None
    why_short: Callable[[], Awaitable[str]] | None = None
    _forgotten: int = 0

    async def check_move(self, new_position: float) -> None:
        """Refuse a target that is no number or outside the software limits, the tighter of instrument and profile.

        :raises LimitError: the target is not finite, or outside the limits; nothing was sent.
        """
        low, high = await asyncio.gather(self.low_limit.get_value(), self.high_limit.get_value())
        units, _ = await self.get_units_precision()
        whose = "" if self.limits is None else f" (instrument {low:g} to {high:g}, profile {self.limits})"
        allowed = tighter((low, high), self.limits)
        check_target(self.name, new_position, allowed, units or "", f"software limits{whose}")

    async def calculate_timeout(self, old_position: float, new_position: float) -> float:
        """Seconds for the trajectory, half as much again, and a margin.

        :raises LimitError: velocity or acceleration is zero, so the axis cannot move.
        """
        speed, up, down = await asyncio.gather(
            self.velocity.get_value(), self.acceleration.get_value(), self.deceleration.get_value()
        )
        for signal, value in ((self.velocity, speed), (self.acceleration, up), (self.deceleration, down)):
            if value <= 0:
                raise LimitError(f"{signal.name}: is {value:g}, so the axis cannot move", hint="set it above zero")
        seconds: float = abs(new_position - old_position) / speed + speed / up + speed / down
        return 1.5 * seconds + MARGIN

    async def look(self) -> None:
        """Called at each turn while the axis moves; for logics that watch it on its way."""

    async def move(
        self, new_position: float, timeout: TimeoutCalculator, start: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Move, wait until done, and make sure that the axis arrived. What goes wrong stops the axis.

        :param start: sends the command that starts it; None: the set point is written.
        :raises InstrumentError: the instrument reported an error of this axis.
        :raises LinkClosed: the link was lost on the way; tells where the axis was seen last. It may still be moving.
        :raises MoveInterrupted: stopped on its way or before it set out, or not at its target although done.
        :raises MoveTimeout: still moving after its time (half as much again as the trajectory takes, and 5 s); it was
            told to stop.
        """
        doing, before = f"on its way to {new_position:g}", self.interrupts.at_call()
        with self.interrupts.excusing(before):
            async with self.motion(start or (lambda: self.setpoint.set(new_position)), timeout, doing):
                await self.ended_at(new_position, doing, before)

    async def ended_at(self, target: float, doing: str, before: int) -> None:
        """Make sure that the motion ended well, at ``target``.

        :raises InstrumentError: the instrument reported an error of this axis.
        :raises MoveInterrupted: it was told to stop, or stands elsewhere.
        """
        await self.raise_errors()
        await self.arrive(
            target, self.tolerance, doing, before, pause=lambda: asyncio.sleep(POLL), why=self._why_elsewhere
        )

    async def _why_elsewhere(self) -> str:
        why = "" if self.why_short is None else await self.why_short()
        return why or "somebody else stopped it (front panel, another program), or the tolerance is too tight"

    @contextlib.asynccontextmanager
    async def motion(
        self, start: Callable[[], Awaitable[None]], timeout: TimeoutCalculator, doing: str
    ) -> AsyncIterator[int]:
        """Start a motion, wait until the axis stands still, and enter; what goes wrong until the end stops the axis.

        No stop since the motion was asked for is overtaken by it: before ``start`` nothing is sent any more, what waits
        for the port is taken back, and behind what may have been written the stop is sent again.

        :param start: sends the command that starts it; returns when the instrument took it.
        :param doing: for messages.
        :return: the count of interrupts when the motion was asked for; another one now means that it was stopped.
        :raises MoveInterrupted: it was stopped before it began.
        :raises MoveTimeout: it took too long.
        """
        before = self.interrupts.at_call()
        await self._forget_stopped()
        if self.interrupts.count != before:
            raise MoveInterrupted(f"{self.name}: told to stop before it was {doing}; nothing was sent")
        try:
            async with self.begun(start, before):
                await self.wait_done(timeout(), doing, before)
                yield before
        except LinkClosed as error:
            units, _ = await self.get_units_precision()
            seen = self.last_seen()
            raise out_of_reach(error, self.name, doing, seen, units or "", " and may still be moving") from error

    async def _forget_stopped(self) -> None:
        # What a stopped motion left behind, perhaps late, is no fault of the next one.
        count = self.interrupts.count
        if count != self._forgotten:
            await self.forget_errors()
            self._forgotten = count

    async def wait_done(self, seconds: float | None, doing: str, before: int | None = None) -> None:
        """Poll until the axis stands still.

        :param before: count of interrupts; when it changes, the stop is sent again.
        :raises MoveTimeout: it still moves after ``seconds``.
        """
        clock = asyncio.get_running_loop().time
        deadline = None if seconds is None else clock() + seconds
        while True:
            if before is not None and self.interrupts.count != before:
                self.follow_stop()
                before = None
            if await self.done.get_value(cached=False):
                return
            await self.look()
            if deadline is not None and clock() > deadline:
                raise MoveTimeout(
                    f"{self.name}: still moving after {seconds:.1f} s {doing}; it was told to stop",
                    hint="is the stage blocked, or the velocity lower than asked?",
                )
            await asyncio.sleep(POLL)

    async def confirm_stop(self, seconds: float) -> None:
        """Ask, ahead of all that waits for the port, until the axis stands still.

        :raises MoveTimeout: it still moves after ``seconds``.
        :raises ReplyTimeout: it has not answered until then.
        """
        await until_still(self.done_now, seconds, self.name)
