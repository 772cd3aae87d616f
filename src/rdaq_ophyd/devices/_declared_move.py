"""How a declared instrument moves: a setpoint is written, then it is looked at until it has arrived."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ophyd_async.core import MovableLogic, TimeoutCalculator

from rdaq_ophyd.declaration import Movable
from rdaq_ophyd.devices._motion import SETTLE, WRITE_POLL, Interrupts
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

STOP_POLL = 0.02
"""Seconds between two questions whether a stop has taken effect."""


@dataclass
class DeclaredLogic(MovableLogic[float]):
    """Moves what the file declares movable.

    :param movable: the file's words about it.
    :param limits: lowest and highest target, as they are known now.
    :param check_ready: raises when the instrument would not follow the setpoint.
    :param still: asks the instrument whether the motion ended; None where it cannot tell.
    :param send_stop: puts the stop on the wire, where there is one; from any thread, without waiting.
    :param follow_stop: sends it once more, behind the exchange in flight and ahead of all that waits.
    :param mocked: whether there is no instrument.
    :ivar adrift: the link was lost during a move: it may go on.
    """

    movable: Movable
    limits: Callable[[], tuple[float, float] | None]
    check_ready: Callable[[], Awaitable[None]]
    still: Callable[[], Awaitable[bool]] | None
    send_stop: Callable[[], None]
    follow_stop: Callable[[], None]
    mocked: Callable[[], bool]
    interrupts: Interrupts = field(default_factory=Interrupts)
    adrift: bool = False

    async def stop(self) -> None:
        """Put the stop on the wire, where there is one; waits for nothing."""
        self.send_stop()

    async def check_move(self, new_position: float) -> None:
        """Refuse a target that is no finite number or outside the limits, and a move that would not be followed.

        :raises LimitError: names device, target and range.
        """
        name, limits = self.readback.name, self.limits()
        if not math.isfinite(new_position):
            raise LimitError(f"{name}: {new_position} is not a finite number", hint="give a position")
        if limits is not None and not limits[0] <= new_position <= limits[1]:
            raise LimitError(
                f"{name}: target {new_position:g} is outside the limits",
                hint=f"allowed: {limits[0]:g} to {limits[1]:g}",
            )
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
        try:
            await self._travel(new_position, timeout, before)
        except MoveInterrupted:
            if not before < self.interrupts.pardoned == self.interrupts.count:
                raise

    async def _travel(self, target: float, timeout: TimeoutCalculator, before: int) -> None:
        name = self.readback.name
        if self.interrupts.count != before:
            raise MoveInterrupted(f"{name}: told to stop before it was sent to {target:g}; nothing was sent")
        answered = False
        try:
            answered = await self._start(target, before)
            if not answered:
                raise MoveInterrupted(f"{name}: told to stop as it was being sent to {target:g}")
            await self._arrive(target, timeout(), before)
        except BaseException as error:
            with contextlib.suppress(RdaqError):  # the first error is the one to tell
                if self.interrupts.count == before:
                    self.send_stop()
                if not answered and not isinstance(error, InstrumentError | LimitError):
                    self.follow_stop()
            self.adrift = self.adrift or isinstance(error, LinkClosed)
            raise

    async def _start(self, target: float, before: int) -> bool:
        """True when the instrument took the setpoint; False when a stop came first: what waits is taken back."""
        starting = asyncio.ensure_future(self.setpoint.set(target))
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
                raise MoveInterrupted(
                    f"{self.readback.name}: told to stop on its way to {target:g}; was seen at {position:g}"
                )
            near = still and (movable.tolerance is None or abs(position - target) <= movable.tolerance)
            near_since = (near_since or now) if near else None
            if near_since is not None and now - near_since >= dwell:
                return
            ended = (ended or now) if still and self.still is not None and not near else None
            if ended is not None and now - ended > SETTLE + dwell:
                raise MoveInterrupted(
                    f"{self.readback.name}: ended at {position:g}, not {target:g} (tolerance {movable.tolerance:g})",
                    hint="somebody else stopped it (front panel, another program), or the tolerance is too tight",
                )
            if now > deadline:
                raise MoveTimeout(
                    f"{self.readback.name}: at {position:g} after {seconds:.1f} s on its way to {target:g}",
                    hint="is something in the way, or the time-out in its file too short?",
                )
            await asyncio.sleep(movable.poll)


async def confirm(is_safe: Callable[[], Awaitable[bool]], seconds: float, name: str, bound: float) -> None:
    """Ask until ``is_safe`` says so.

    :param bound: seconds after which it is given up, also where no question finds its turn.
    :raises MoveTimeout: it did not after ``seconds``.
    :raises ReplyTimeout: it has not answered until then.
    :raises TimeoutError: the bound.
    """
    async with asyncio.timeout(bound):
        await _ask_until(is_safe, seconds, name)


async def _ask_until(is_safe: Callable[[], Awaitable[bool]], seconds: float, name: str) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while True:
        try:
            if await is_safe():
                return
        except (ReplyTimeout, BadReply):
            if clock() > deadline:
                raise
        if clock() > deadline:
            raise MoveTimeout(f"{name}: not stopped {seconds:.1f} s after it was told to")
        await asyncio.sleep(STOP_POLL)
