"""What axes on a link have in common: a move that is polled, can be interrupted, and checks where it ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from ophyd_async.core import MovableLogic, SignalR, TimeoutCalculator

from rdaq_ophyd.errors import (
    BadReply,
    InstrumentError,
    LimitError,
    LinkClosed,
    MoveInterrupted,
    MoveTimeout,
    RdaqError,
    ReplyTimeout,
)
from rdaq_ophyd.signals import Sample, tighter

POLL = 0.02
"""Seconds between two questions whether the motion is done: about two exchanges at 19200 baud."""
SETTLE = 0.5
"""Seconds that an axis may take to come within its tolerance after it reported that the motion is done."""
WRITE_POLL = 0.005
"""Seconds between two looks whether a stop overtook a motion command that waits for the port."""
MARGIN = 5.0
"""Seconds added to the calculated duration of a move before it counts as stuck."""


@dataclass(eq=False)
class Interrupts:
    """Counts stops, so that a motion that was stopped knows it. Counting needs no lock and no event loop."""

    count: int = 0
    pardoned: int = -1
    """The count after which a stopped move is to end without an error."""
    _ticks: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self) -> None:
        """Count a stop; from any thread."""
        self.count = next(self._ticks)  # atomic, unlike += 1: no two stops leave the count where it was

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Tasks made within know the count as it is now, at whatever time they start to run."""
        token = _NOTED.set((self, self.count))
        try:
            yield
        finally:
            _NOTED.reset(token)

    def at_call(self) -> int:
        """The count when the motion was asked for; where that was not noted, the count now."""
        noted = _NOTED.get()
        return noted[1] if noted is not None and noted[0] is self else self.count


_NOTED: ContextVar[tuple[Interrupts, int] | None] = ContextVar(
    "stops counted when a motion was asked for", default=None
)


@dataclass
class PolledAxisLogic(MovableLogic[float]):
    """Moves an axis that answers when asked whether it is done.

    :param done: True when the axis stands still.
    :param velocity: in units per second.
    :param acceleration: in units per second squared; ``deceleration`` too.
    :param low_limit: software limit; ``high_limit`` too.
    :param send_stop: puts the stop command on the wire; from any thread, without waiting.
    :param follow_stop: sends it once more, behind the exchange in flight and ahead of all that waits; without waiting.
    :param raise_errors: raises what the instrument reported about this axis.
    :param forget_errors: logs and drops what the instrument reported about this axis.
    :param done_now: the same as ``done``, asked ahead of all that waits for the port.
    :param last_seen: where the axis was seen last, and when; None before that.
    :param tolerance: how far from the target the axis may stand at the end.
    :param limits: lowest and highest target that the profile allows, whatever the instrument says.
    :param why_short: asks the instrument why the axis may stand still before its target; empty where it cannot tell.
    :ivar adrift: a stop could not be written since the link was lost: the axis may be moving.
    """

    done: SignalR[bool]
    velocity: SignalR[float]
    acceleration: SignalR[float]
    deceleration: SignalR[float]
    low_limit: SignalR[float]
    high_limit: SignalR[float]
    send_stop: Callable[[], None]
    follow_stop: Callable[[], None]
    raise_errors: Callable[[], Awaitable[None]]
    forget_errors: Callable[[], Awaitable[None]]
    done_now: Callable[[], Awaitable[bool]]
    last_seen: Callable[[], Sample | None]
    tolerance: float = 0.01
    limits: tuple[float, float] | None = None
    why_short: Callable[[], Awaitable[str]] | None = None
    adrift: bool = False
    interrupts: Interrupts = field(default_factory=Interrupts)
    _forgotten: int = 0

    async def stop(self) -> None:
        """Put the stop on the wire; waits for nothing."""
        self.send_stop()

    async def check_move(self, new_position: float) -> None:
        """Refuse a target that is no number or outside the software limits, the tighter of instrument and profile.

        :raises LimitError: names axis, target and range.
        """
        name = self.readback.name
        if not math.isfinite(new_position):
            raise LimitError(f"{name}: {new_position} is not a finite number", hint="give a position")
        low, high = await asyncio.gather(self.low_limit.get_value(), self.high_limit.get_value())
        allowed = tighter((low, high), self.limits) or (low, high)
        if not allowed[0] <= new_position <= allowed[1]:
            units, _ = await self.get_units_precision()
            unit = f" {units}" if units else ""
            whose = "" if self.limits is None else f" (instrument {low:g} to {high:g}, profile {self.limits})"
            raise LimitError(
                f"{name}: target {new_position:g}{unit} is outside the software limits{whose}",
                hint=f"allowed: {allowed[0]:g} to {allowed[1]:g}{unit}"
                if allowed[0] <= allowed[1]
                else "none is allowed",
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

    async def look(self) -> None:
        """Called at each turn while the axis moves; for logics that watch it on its way."""

    async def move(
        self, new_position: float, timeout: TimeoutCalculator, start: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Move, wait until done, and make sure that the axis arrived. What goes wrong stops the axis.

        :param start: sends the command that starts it; None: the set point is written.
        :raises InstrumentError: the instrument reported an error of this axis.
        :raises LinkClosed: the link was lost on the way; tells where the axis was seen last.
        :raises MoveInterrupted: something stopped it on its way, or before it set out.
        :raises MoveTimeout: it took too long.
        """
        doing, before = f"on its way to {new_position:g}", self.interrupts.at_call()
        try:
            async with self.motion(start or (lambda: self.setpoint.set(new_position)), timeout, doing):
                await self.raise_errors()
                await self._check_arrival(new_position, before)
        except MoveInterrupted:
            if not self.pardoned(before):
                raise

    def pardoned(self, before: int) -> bool:
        """Whether a motion that began at count ``before`` was stopped, and is to end without an error."""
        return before < self.interrupts.pardoned == self.interrupts.count

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
            raise MoveInterrupted(f"{self.readback.name}: told to stop before it was {doing}; nothing was sent")
        answered = False
        try:
            answered = await self._start(start, before)
            await self.wait_done(timeout(), doing, before)
            yield before
        except BaseException as error:
            with contextlib.suppress(RdaqError):  # the first error is the one to tell
                if self.interrupts.count == before:
                    self.send_stop()
                if not answered and not isinstance(error, InstrumentError):
                    self.follow_stop()
            if isinstance(error, LinkClosed):
                self.adrift = True
                raise await self._out_of_reach(error, doing) from error
            raise

    async def _out_of_reach(self, error: LinkClosed, doing: str) -> LinkClosed:
        seen = self.last_seen()
        place = "it was not seen since it was connected"
        if seen is not None:
            units, _ = await self.get_units_precision()
            place = f"it was seen {max(0.0, time.time() - seen.timestamp):.1f} s ago at {seen.value:g} {units or ''}"
        return LinkClosed(
            f"{self.readback.name}: lost {doing}; {place.rstrip()} and may still be moving ({error.what})",
            hint=error.hint,
        )

    async def _forget_stopped(self) -> None:
        # What a stopped motion left behind, perhaps late, is no fault of the next one.
        count = self.interrupts.count
        if count != self._forgotten:
            await self.forget_errors()
            self._forgotten = count

    async def _start(self, start: Callable[[], Awaitable[None]], before: int) -> bool:
        """True when the instrument took the command; False when a stop came first, and nobody knows what was sent."""
        starting = asyncio.ensure_future(start())
        try:
            while not starting.done() and self.interrupts.count == before:
                await asyncio.wait({starting}, timeout=WRITE_POLL)
        finally:
            if not starting.done():
                starting.cancel()  # what still waits for the port is never sent
                await asyncio.wait({starting})
        if starting.cancelled():
            return False
        starting.result()
        return True

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
                    f"{self.readback.name}: still moving after {seconds:.1f} s {doing}; it was told to stop",
                    hint="is the stage blocked, or the velocity lower than asked?",
                )
            await asyncio.sleep(POLL)

    async def confirm_stop(self, seconds: float) -> None:
        """Ask, ahead of all that waits for the port, until the axis stands still.

        :raises MoveTimeout: it still moves after ``seconds``.
        :raises ReplyTimeout: it has not answered until then.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while True:
            try:
                if await self.done_now():
                    return
            except (ReplyTimeout, BadReply):
                if clock() > deadline:
                    raise
            if clock() > deadline:
                raise MoveTimeout(f"{self.readback.name}: still moving after {seconds:.1f} s after a stop")
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
                why = "" if self.why_short is None else await self.why_short()
                raise MoveInterrupted(
                    f"{self.readback.name}: stands at {position:g}, not at {target:g} (tolerance {self.tolerance:g})",
                    hint=why
                    or "somebody else stopped it (front panel, another program), or the tolerance is too tight",
                )
            await asyncio.sleep(POLL)
