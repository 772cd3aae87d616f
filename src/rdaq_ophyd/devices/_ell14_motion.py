"""How a rotator moves: a bounded move cannot be interrupted, so stops take effect between moves."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ophyd_async.core import SignalR, TimeoutCalculator

from rdaq_ophyd.devices._confirm import until_still
from rdaq_ophyd.devices._ell14_status import BUSY, OK
from rdaq_ophyd.devices._ell14_supply import Supply
from rdaq_ophyd.devices._motion import MARGIN, MotionLogic, check_target, out_of_reach
from rdaq_ophyd.errors import (
    BadReply,
    InstrumentError,
    LinkClosed,
    MoveInterrupted,
    MoveTimeout,
    ReplyTimeout,
    StopLatched,
)
from rdaq_ophyd.signals import Sample

logger = logging.getLogger(__name__)

FULL_SPEED = 430.0
"""Degrees per second at 100 % velocity (ELL14 data sheet)."""
OVERHEAD = 0.15
"""Seconds that a move takes beyond its way at full speed: starting, settling, two exchanges at 9600 baud."""
POLL = 0.03
"""Seconds between two questions whether the motion is done: some three exchanges at 9600 baud, for the others."""
JOG_STOP = 1.0
"""Seconds after which a jog without an end has stopped that was told to."""
DEAF_PAUSE = 0.5
"""Seconds at most to the next question after one that was not answered."""
STATUS_TIMEOUT = 0.25
"""Seconds for the answer to one of these questions: 12 ms on the wire, the adapter's and the device's latency."""
SILENCE = 2.0
"""Seconds after the expected end of a motion in which a device may still leave questions unanswered."""
TURN_WAIT = 60.0
"""Seconds to wait until the supply is free for one more."""
AGREE = 2
"""Times in a row that a device must say that it is free after a stop: the reply to ``st`` may look like one of them."""
STOP_REPLY = 1.0
"""Seconds in which that reply must have come."""


@dataclass
class RotatorLogic(MotionLogic):
    """Moves one rotator on a bus that others use too.

    :param velocity: in percent.
    :param ask_status: the code that ``gs`` gives.
    :param ask_status_now: the same, ahead of all that waits for the port.
    :param step: starts a move to an angle on the way to the target.
    :param aim: told the target of the move that begins; None: it moves, but to no target.
    :param fail: makes the error for a status code, given what the rotator was doing.
    :param supply: of the bus.
    :param mover: by what the supply knows the rotator.
    :param last_seen: where it was seen last, and when; None before that.
    :param check_pulses: refuses an angle that the device cannot count.
    :param limits: lowest and highest target, in degrees; None for none.
    :param segment: longest single move, in degrees; None for no such bound.
    :param tolerance: how far from the target it may stand at the end, in degrees.
    :ivar stopped: when, by the monotonic clock, it was told to stop last.
    :ivar ends: when, by the monotonic clock, what was started last is over at the latest.
    :ivar lasts: seconds that it takes, where no stop ends it; else 0.
    """

    velocity: SignalR[int]
    ask_status: Callable[[], Awaitable[int]]
    ask_status_now: Callable[[], Awaitable[int]]
    step: Callable[[float], Awaitable[None]]
    aim: Callable[[float | None], None]
    fail: Callable[[int, str], InstrumentError]
    supply: Callable[[], Supply]
    mover: Callable[[], str]
    last_seen: Callable[[], Sample | None]
    check_pulses: Callable[[float], None]
    limits: tuple[float, float] | None = None
    segment: float | None = None
    tolerance: float = 0.1
    stopped: float = -math.inf
    ends: float = 0.0
    lasts: float = 0.0

    async def check_move(self, new_position: float) -> None:
        """Refuse a target that is no number, outside the limits, or more than the device can count.

        :raises LimitError: the target is not finite, outside the limits, or more than 32 bits of pulses; nothing was
            sent.
        """
        check_target(self.name, new_position, self.limits, "deg")
        self.check_pulses(new_position)

    def begins(self, seconds: float, *, stoppable: bool = False) -> None:
        """Note what is about to start.

        :param seconds: that it should take.
        :param stoppable: a stop ends it.
        """
        self.ends = time.monotonic() + seconds + SILENCE
        self.lasts = 0.0 if stoppable else seconds

    @property
    def runs(self) -> float:
        """Seconds that the motion in progress takes, where no stop ends it; 0 where there is none. Any thread."""
        return self.lasts if time.monotonic() < self.ends else 0.0

    async def speed(self) -> float:
        """Degrees per second."""
        percent: int = await self.velocity.get_value()
        return FULL_SPEED * percent / 100

    async def calculate_timeout(self, old_position: float, new_position: float) -> float:
        """Seconds from the begin of the motion: its way, half as much again, and a margin."""
        way = abs(new_position - old_position)
        return 1.5 * (way / await self.speed() + OVERHEAD * self._count(way)) + MARGIN

    def _count(self, way: float) -> int:
        return 1 if self.segment is None else max(1, math.ceil(way / self.segment - 1e-9))

    def goals(self, here: float, target: float) -> list[float]:
        """Where the single moves end, the last at ``target``."""
        count = self._count(abs(target - here))
        return [here + (target - here) * i / count for i in range(1, count)] + [target]

    async def move(self, new_position: float, timeout: TimeoutCalculator) -> None:
        """Wait for a turn, move, wait until done, and make sure that it arrived.

        :param timeout: counts from the begin of the motion, not while others turn.
        :raises InstrumentError: the device reported an error, such as 2, *mechanical time-out*, or 13, *over-current*.
        :raises LinkClosed: the link was lost on the way; tells where the rotator was seen last. It runs to its end.
        :raises MoveInterrupted: told to stop, where what had begun ran to its end; or free, but not at its target.
        :raises MoveTimeout: busy beyond its time, or not its turn in time.
        :raises QueueFull: 32 moves wait for the supply already.
        """
        doing, before, seconds = f"on its way to {new_position:g}", self.interrupts.at_call(), timeout()
        with self.interrupts.excusing(before):
            async with self.motion(doing, before):
                deadline = math.inf if seconds is None else time.monotonic() + seconds
                self.aim(new_position)
                here, speed = await self.readback.get_value(cached=False), await self.speed()
                for goal in self.goals(here, new_position):
                    start = partial(self.setpoint.set if goal == new_position else self.step, goal)
                    await self.run(start, abs(goal - here) / speed + OVERHEAD, doing, before, deadline)
                    here = goal
                await self.ended_at(new_position, doing, before, deadline)

    @asynccontextmanager
    async def motion(self, doing: str, before: int) -> AsyncIterator[None]:
        """Wait until the supply has room and the rotator stands still, and enter.

        :param before: the count of interrupts when the motion was asked for.
        """
        supply = self.supply()
        async with supply.turn([self.mover()], TURN_WAIT, lambda: self.look(before, doing)):
            try:
                await self.wait_free(doing, before)
                yield
            except BaseException as error:
                self.give_up(supply)
                if isinstance(error, LinkClosed):
                    then = "; a move that began runs to its end" if self.ends else ""
                    raise out_of_reach(error, self.name, doing, self.last_seen(), "deg", then) from error
                raise

    def give_up(self, supply: Supply) -> None:
        """Nobody watches what was begun any more: its room in the supply is free when it must be over."""
        supply.linger(self.mover(), seconds=max(0.0, self.ends - time.monotonic()))

    def note_stop(self) -> None:
        """A stop is about to be written. Any thread; waits for nothing."""
        self.interrupts.add()
        self.stopped = time.monotonic()
        if self.ends == math.inf:  # a jog that this stop ends, and nobody watches
            self.ends = time.monotonic() + JOG_STOP
            self.give_up(self.supply())

    def look(self, before: int, doing: str) -> None:
        """Whether it was told to stop.

        :raises MoveInterrupted: it was, and nothing more is sent.
        """
        if self.interrupts.count != before:
            raise MoveInterrupted(f"{self.name}: told to stop {doing}; nothing more was sent")

    async def wait_free(self, doing: str, before: int) -> None:
        """Wait for the end of what it does still, such as a move that nobody waits for; old errors are dropped."""
        end = max(self.ends if math.isfinite(self.ends) else 0.0, time.monotonic()) + SILENCE
        agreed = 0
        while True:
            try:
                code = await self.ask_status()
            except (ReplyTimeout, BadReply):
                if time.monotonic() > end:
                    raise
                code = BUSY
            agreed = agreed + 1 if code == OK else 0
            if agreed >= self._needed:
                return
            self.look(before, doing)
            if code not in (OK, BUSY):
                logger.info("%s: status %d belongs to what was before", self.name, code)
            elif code == BUSY and time.monotonic() > end:
                raise MoveTimeout(f"{self.name}: is busy already, so it was not sent {doing}", hint="stop it first")
            await asyncio.sleep(POLL)

    @property
    def _needed(self) -> int:
        """Times in a row that it must say that it is free."""
        return AGREE if time.monotonic() < self.stopped + STOP_REPLY else 1

    async def run(
        self,
        start: Callable[[], Awaitable[None]],
        seconds: float,
        doing: str,
        before: int,
        deadline: float,
        again: Callable[[], None] | None = None,
    ) -> None:
        """Start one motion that ends by itself, once, and wait for that.

        :param seconds: that it should take.
        :param again: sends a stop once more, where one that overtook the start would have ended this motion.
        """
        self.look(before, doing)
        self.begins(seconds, stoppable=again is not None)
        try:
            await self.interrupts.unless_stopped(start(), before)
        except (ReplyTimeout, BadReply) as error:
            # Never sent again: whether it began is asked.
            logger.info("%s: %s", self.name, error)
        except (InstrumentError, StopLatched):
            self.ends = 0.0
            raise
        if again is not None and self.interrupts.count != before:
            again()
        await self.wait_done(seconds, doing, deadline)
        self.ends = 0.0

    async def wait_done(self, seconds: float, doing: str, deadline: float = math.inf) -> None:
        """Ask until the device is free. It may leave questions unanswered while it turns.

        :raises InstrumentError: it reports an error.
        :raises MoveTimeout: it is busy beyond ``deadline``.
        :raises ReplyTimeout: it has not answered long after the end that was expected.
        """
        begun, agreed = time.monotonic(), 0
        while True:
            try:
                code = await self.ask_status()
            except (ReplyTimeout, BadReply):
                if time.monotonic() > min(begun + seconds + SILENCE, deadline + SILENCE):
                    raise
                # Each question without an answer holds the bus up for the others: the next one when it may be over.
                await asyncio.sleep(min(max(POLL, begun + seconds - time.monotonic()), DEAF_PAUSE))
                continue
            agreed = agreed + 1 if code == OK else 0
            if agreed >= self._needed:
                return
            if code not in (OK, BUSY):
                raise self.fail(code, doing)
            if time.monotonic() > deadline:
                raise MoveTimeout(
                    f"{self.name}: still busy {doing} when its time was over",
                    hint="is it blocked, or the velocity lower than asked? a move that began cannot be stopped",
                )
            await asyncio.sleep(POLL)

    async def ended_at(self, target: float, doing: str, before: int, deadline: float) -> None:
        """Make sure that it stands at ``target``.

        :raises MoveInterrupted: it was told to stop, or stands elsewhere.
        """

        async def pause() -> None:
            await asyncio.sleep(POLL)
            await self.wait_done(OVERHEAD, doing, deadline)

        async def why() -> str:
            return "was a button of its keypad pressed, or is the tolerance too tight?"

        await self.arrive(target, self.tolerance, doing, before, pause=pause, why=why)

    async def confirm_stop(self, seconds: float) -> None:
        """Ask, ahead of all that waits for the port, until the device says repeatedly that it is free.

        :raises MoveTimeout: it is still busy after ``seconds``.
        :raises ReplyTimeout: it has not answered until then.
        """

        async def free() -> bool:
            return await self.ask_status_now() != BUSY

        await until_still(free, seconds, self.name, agree=AGREE, poll=POLL)
