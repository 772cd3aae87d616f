"""What everything that moves over a link has in common: how a stop ends a motion."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property

from bluesky.protocols import Location
from ophyd_async.core import (
    AsyncStatus,
    CalculatableTimeout,
    CommandBackend,
    MovableLogic,
    StandardMovable,
    TriggerableCommand,
    WatchableAsyncStatus,
)

from rdaq_ophyd.devices._interrupts import Interrupts
from rdaq_ophyd.errors import (
    InstrumentError,
    LimitError,
    LinkClosed,
    MoveInterrupted,
    RdaqError,
)
from rdaq_ophyd.signals import Sample, typed

SETTLE = 0.5
"""Seconds that an axis may take to come within its tolerance after it reported that the motion is done."""
MARGIN = 5.0
"""Seconds added to the calculated duration of a move before it counts as stuck."""
ENDING = 10.0
"""Seconds that a motion waits for the end of one that was stopped before."""


def _nothing() -> None:
    """Where nothing stops it."""


@dataclass
class MotionLogic(MovableLogic[float]):
    """A motion that stops may end.

    :param send_stop: puts the stop on the wire, where there is one; from any thread, without waiting.
    :param follow_stop: sends it once more, behind the exchange in flight and ahead of all that waits; without waiting.
    :ivar adrift: a stop could not be written since the link was lost: it may be moving.
    """

    send_stop: Callable[[], None] = field(default=_nothing, kw_only=True)
    follow_stop: Callable[[], None] = field(default=_nothing, kw_only=True)
    interrupts: Interrupts = field(default_factory=Interrupts, kw_only=True)
    adrift: bool = field(default=False, kw_only=True)
    _under_way: dict[asyncio.Event, int] = field(default_factory=dict, kw_only=True)

    @property
    def name(self) -> str:
        """Of what moves, for messages."""
        return self.readback.name

    async def stop(self) -> None:
        """Put the stop on the wire; waits for nothing."""
        self.send_stop()

    @contextlib.asynccontextmanager
    async def begun(self, start: Callable[[], Awaitable[None]], before: int) -> AsyncIterator[bool]:
        """Start a motion, and enter; what goes wrong until the end stops it.

        No stop is overtaken by it: what waits for the port is taken back, and behind what may have been written the
        stop is sent again.

        :param start: sends the command that starts it; returns when the instrument took it.
        :param before: the count of interrupts when the motion was asked for.
        :return: whether the instrument took it; False: a stop came first, and nobody knows what was sent.
        :raises MoveInterrupted: an earlier motion that was stopped does not end; nothing was sent.
        """
        await self._stopped_ones_ended()
        ended = asyncio.Event()
        self._under_way[ended] = before
        try:
            async with self._begun(start, before) as answered:
                yield answered
        finally:
            del self._under_way[ended]
            ended.set()

    async def _stopped_ones_ended(self) -> None:
        # Each sends its stop again as it ends: the next motion must not get that one.
        stopped = [ended for ended, before in self._under_way.items() if before != self.interrupts.count]
        try:
            async with asyncio.timeout(ENDING):
                for ended in stopped:
                    await ended.wait()
        except TimeoutError:
            raise MoveInterrupted(
                f"{self.name}: its last motion was stopped and has not ended within {ENDING:g} s; nothing was sent",
                hint="does it answer? stop it again, and look at it",
            ) from None

    @contextlib.asynccontextmanager
    async def _begun(self, start: Callable[[], Awaitable[None]], before: int) -> AsyncIterator[bool]:
        answered = False
        try:
            answered = await self.interrupts.unless_stopped(start(), before)
            yield answered
        except BaseException as error:
            with contextlib.suppress(RdaqError):  # the first error is the one to tell
                if self.interrupts.count == before:
                    self.send_stop()
                if not answered and not isinstance(error, InstrumentError | LimitError):
                    self.follow_stop()
            self.adrift = self.adrift or isinstance(error, LinkClosed)
            raise

    async def arrive(
        self,
        target: float,
        tolerance: float,
        doing: str,
        before: int,
        *,
        pause: Callable[[], Awaitable[None]],
        why: Callable[[], Awaitable[str]],
    ) -> None:
        """Make sure that it stands at ``target``, give or take ``tolerance``, soon after it reported its end.

        :param pause: between two looks.
        :param why: the next step for one that does not.
        :raises MoveInterrupted: it was told to stop, or stands elsewhere.
        """
        settled = time.monotonic() + SETTLE
        while True:
            # Uncached, and published to subscribers: a staged read after the move sees where it ended.
            position = await self.readback.get_value(cached=False)
            if self.interrupts.count != before:
                raise MoveInterrupted(f"{self.name}: told to stop {doing}; stands at {position:g}")
            if abs(position - target) <= tolerance:
                return
            if time.monotonic() > settled:
                what = f"{self.name}: stands at {position:g}, not at {target:g} (tolerance {tolerance:g})"
                raise MoveInterrupted(what, hint=await why())
            await pause()


class Interruptible(StandardMovable[float]):
    """Moves over a link: a stop ends each of its moves, also one that comes before anything was sent."""

    @cached_property
    @abstractmethod
    def movable_logic(self) -> MotionLogic:
        """How it moves."""

    def set(
        self, new_position: float, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT"
    ) -> WatchableAsyncStatus[float]:
        """Move to ``new_position``; a stop from now on ends the move, also one that comes before anything was sent."""
        with self.movable_logic.interrupts.noted():
            return super().set(new_position, timeout)

    async def locate(self) -> Location[float]:
        """Where it was sent last and where it is, asked now."""
        # Not from a subscription: one that a stopped move closes before its first value would never answer.
        logic = self.movable_logic
        setpoint, readback = await asyncio.gather(
            logic.setpoint.get_value(cached=False), logic.readback.get_value(cached=False)
        )
        return Location(setpoint=setpoint, readback=readback)

    async def stop(self, success: bool = False) -> None:
        """Send the stop and end the move in progress.

        :param success: whether that move then counts as succeeded.
        """
        await super().stop(success)  # type: ignore[no-untyped-call]  # ophyd-async's
        if success:
            self.movable_logic.interrupts.pardon()


class MotionCommand(TriggerableCommand):
    """A command that lasts as long as its motion; it has a bound of its own."""

    def __init__(self, backend: CommandBackend[[], None], timeout: float | None = None, name: str = "") -> None:
        super().__init__(backend, timeout, name)

    def trigger(self, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT") -> AsyncStatus[None]:
        """Start it; a stop from now on ends it, also one that comes before anything was sent."""
        device = self.parent
        if not isinstance(device, Interruptible):
            raise TypeError(f"{self.name}: a MotionCommand belongs to a device that moves")
        with device.movable_logic.interrupts.noted():
            return super().trigger(timeout)


def check_target(
    name: str, target: float, limits: tuple[float, float] | None, unit: str = "", what: str = "limits"
) -> None:
    """Refuse a target that is no number, or outside the limits.

    :param what: whose they are, for the message.
    :raises LimitError: names device, target and range.
    """
    if not math.isfinite(typed(name, target, float)):
        raise LimitError(f"{name}: {target} is not a finite number", hint="give a position")
    if limits is None or limits[0] <= target <= limits[1]:
        return
    unit = f" {unit}" if unit else ""
    allowed = f"allowed: {limits[0]:g} to {limits[1]:g}{unit}" if limits[0] <= limits[1] else "none is allowed"
    raise LimitError(f"{name}: target {target:g}{unit} is outside the {what}", hint=allowed)


def out_of_reach(error: LinkClosed, name: str, doing: str, seen: Sample | None, unit: str, then: str) -> LinkClosed:
    """The error of a motion that lost its link: where it was seen last, and what it does now."""
    place = "it was not seen since it was connected"
    if seen is not None:
        place = f"it was seen {max(0.0, time.time() - seen.timestamp):.1f} s ago at {seen.value:g} {unit}".rstrip()
    return LinkClosed(f"{name}: lost {doing}; {place}{then} ({error.what})", hint=error.hint)
