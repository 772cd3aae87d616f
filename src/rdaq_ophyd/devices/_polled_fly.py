"""Fly moves of a polled axis: at constant velocity from one place to another, positions taken on the way."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ophyd_async.core import FlyableLogic, FlyMotorInfo, TimeoutCalculator

from rdaq_ophyd.devices._motion import MARGIN
from rdaq_ophyd.devices._polled_axis import PolledAxisLogic
from rdaq_ophyd.devices._positions import Track
from rdaq_ophyd.errors import LimitError, MoveInterrupted, RdaqError

logger = logging.getLogger(__name__)
SAME = 1e-5
"""Relative difference up to which two velocities are the same: what six printed digits leave of one."""
REST = 5.0
"""Seconds that an axis may take to stand still after a fly move went wrong, before its velocity is given back."""


@dataclass(eq=False)
class Flight:
    """A fly move that was prepared.

    :param info: what was asked for.
    :param run_up: where the axis sets out.
    :param rest: where it comes to rest.
    :param rates: acceleration and deceleration for which these were calculated.
    :ivar at_speed: set when it has come past ``info.start_position``.
    :ivar task: the move, from kickoff on.
    """

    info: FlyMotorInfo
    run_up: float
    rest: float
    rates: tuple[float, float]
    at_speed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def timeout(self) -> float | None:
        """Seconds for all of it; by default half as much again as it takes, and a margin."""
        if isinstance(self.info.timeout, str):
            ramps = self.info.speed / self.rates[0] + self.info.speed / self.rates[1]
            return 1.5 * (self.info.time_for_move + ramps) + MARGIN
        return self.info.timeout

    def is_past_start(self, position: float) -> bool:
        """Whether ``position`` is where the velocity is constant, or beyond."""
        sign = 1.0 if self.info.end_position > self.info.start_position else -1.0
        return (position - self.info.start_position) * sign >= 0.0


@dataclass
class PolledFlyLogic(PolledAxisLogic, FlyableLogic[FlyMotorInfo, Flight]):
    """Moves and fly moves of an axis that is asked where it is.

    The velocity of the axis is another one during a fly move only. Where it could not be given back (the link was
    lost, or everything was stopped), the next move begins with that.

    :param set_velocity: writes the velocity.
    :param check_velocity: raises ``LimitError`` for one that the axis does not have.
    :ivar track: positions of the last fly move.
    """

    set_velocity: Callable[[float], Awaitable[None]] = field(kw_only=True)
    check_velocity: Callable[[float], None] = field(kw_only=True)
    track: Track = field(default_factory=Track)
    _flight: Flight | None = None
    _owed: tuple[float, float] | None = None

    @property
    def flying(self) -> bool:
        """Whether a fly move is under way."""
        return self._flight is not None

    def refuse_in_flight(self) -> None:
        """Let nothing else move the axis now.

        :raises RdaqError: a fly move is under way.
        """
        if self._flight is not None:
            raise RdaqError(f"{self.name}: a fly move is under way", hint="wait for complete(), or stop it")

    async def move(
        self, new_position: float, timeout: TimeoutCalculator, start: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Move; see ``PolledAxisLogic.move``.

        :raises RdaqError: a fly move is under way; nothing was sent.
        """
        self.refuse_in_flight()
        if self._owed is not None:
            await self._give_back_velocity()
        await super().move(new_position, timeout, start)

    async def on_prepare(self, value: FlyMotorInfo) -> Flight:
        """Check the whole fly move, then go to where its run-up begins.

        :raises LimitError: velocity, run-up or run-down are beyond the limits; nothing was written.
        """
        self.refuse_in_flight()
        flight = await self._planned(value)
        here = await self.readback.get_value(cached=False)
        seconds = await self.calculate_timeout(here, flight.run_up)
        await self.move(flight.run_up, lambda: seconds)
        return flight

    async def _planned(self, info: FlyMotorInfo) -> Flight:
        name = self.name
        await self.check_move(info.start_position)
        await self.check_move(info.end_position)
        if not (math.isfinite(info.time_for_move) and info.speed > 0):
            raise LimitError(
                f"{name}: a fly move from {info.start_position:g} to {info.end_position:g} in {info.time_for_move:g} s",
                hint="give two different positions and a finite time above zero",
            )
        self.check_velocity(info.speed)
        up, down = await self._rates()
        flight = Flight(
            info, info.ramp_up_start_pos(info.speed / up), info.ramp_down_end_pos(info.speed / down), (up, down)
        )
        for what, place in (("run-up begins", flight.run_up), ("run-down ends", flight.rest)):
            try:
                await self.check_move(place)
            except LimitError as error:
                raise LimitError(f"{error.what}, where the {what}", hint=error.hint) from error
        return flight

    async def _rates(self) -> tuple[float, float]:
        up, down = await asyncio.gather(
            self.acceleration.get_value(cached=False), self.deceleration.get_value(cached=False)
        )
        for signal, rate in ((self.acceleration, up), (self.deceleration, down)):
            if rate <= 0:
                raise LimitError(f"{signal.name}: is {rate:g}, so the axis cannot move", hint="set it above zero")
        return up, down

    async def on_kickoff(self, ctx: Flight) -> Flight:
        """Set out; returns when the velocity is constant.

        :raises LimitError: the axis is not, or its ramps are not, as they were prepared; nothing was written.
        :raises MoveInterrupted: it was stopped before that.
        """
        self.refuse_in_flight()
        await self._as_prepared(ctx)
        self.track, self._flight, ctx.at_speed = Track(), ctx, asyncio.Event()
        task = ctx.task = asyncio.create_task(self._fly(ctx))
        task.add_done_callback(self._landed)
        reached = asyncio.ensure_future(ctx.at_speed.wait())
        try:
            await asyncio.wait({task, reached}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        finally:
            reached.cancel()
        if task.done():
            task.result()  # raises what ended it
        return ctx

    async def _as_prepared(self, flight: Flight) -> None:
        here, rates = await asyncio.gather(self.readback.get_value(cached=False), self._rates())
        name = self.name
        if rates != flight.rates:
            raise LimitError(f"{name}: its acceleration changed since the fly move was prepared", hint="prepare again")
        if abs(here - flight.run_up) > self.tolerance:
            raise LimitError(
                f"{name}: stands at {here:g}, the fly move was prepared to begin at {flight.run_up:g}",
                hint="prepare again",
            )
        await self.check_move(flight.rest)  # limits may have changed too

    async def on_complete(self, ctx: Flight) -> None:
        """Wait until the axis stands still at the end of the run-down. Cancelled, it stops the axis.

        :raises MoveInterrupted: it was stopped on its way.
        """
        if ctx.task is None:
            raise RuntimeError(f"{self.name}: not kicked off")
        await ctx.task

    async def on_stage(self) -> None:
        """Nothing to do; what was under way is ended."""
        await self.land()

    async def on_unstage(self) -> None:
        """End a fly move that is still under way."""
        await self.land()

    async def land(self) -> None:
        """Stop a fly move that is under way; returns when it ended, or after the time that ending takes at most."""
        if self._flight is not None:
            self.send_stop()
            await self.ended()

    async def ended(self, seconds: float = 2 * REST) -> None:
        """Wait until no fly move is under way, at most ``seconds``."""
        task = None if self._flight is None else self._flight.task
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait({task}, timeout=seconds)

    async def look(self) -> None:
        """Take a position."""
        flight = self._flight
        if flight is not None and flight.is_past_start(await self._sample()):
            flight.at_speed.set()

    async def _sample(self) -> float:
        return await self.track.take(lambda: self.readback.get_value(cached=False))

    async def _fly(self, flight: Flight) -> None:
        doing, before = f"on its way to {flight.rest:g} at constant velocity", self.interrupts.at_call()
        try:
            with self.interrupts.excusing(before):
                await self._borrow_velocity(flight.info.speed)
                async with self.motion(lambda: self._launch(flight), lambda: flight.timeout, doing):
                    await self._sample()
                    await self.ended_at(flight.rest, doing, before)
        finally:
            try:
                await self._try_to_give_back()
            finally:
                self._flight = None

    async def _launch(self, flight: Flight) -> None:
        await self.set_velocity(flight.info.speed)
        await self.setpoint.set(flight.rest)

    def _landed(self, task: asyncio.Task[None]) -> None:
        # Who waits for it is told; it may be nobody, when a plan was aborted between kickoff and complete.
        if not task.cancelled() and (error := task.exception()) is not None:
            level = logging.INFO if isinstance(error, MoveInterrupted) else logging.WARNING
            logger.log(level, "%s: the fly move ended early: %s", self.name, error)

    async def _borrow_velocity(self, speed: float) -> None:
        if self._owed is not None:
            await self._give_back_velocity()
        own = await self.velocity.get_value(cached=False)
        self._owed = own, speed

    async def _give_back_velocity(self) -> None:
        if self._owed is None:
            return
        own, borrowed = self._owed
        # Another one than was borrowed is one that somebody wanted.
        if math.isclose(await self.velocity.get_value(cached=False), borrowed, rel_tol=SAME):
            await self.set_velocity(own)
        self._owed = None

    async def _try_to_give_back(self) -> None:
        try:
            await self.confirm_stop(REST)  # one that decelerates is not given another velocity
            await self._give_back_velocity()
        except RdaqError as error:
            own, borrowed = self._owed or (0.0, 0.0)
            logger.warning(
                "%s: its velocity is still %g, not %g: %s. The next move begins with setting it",
                self.name,
                borrowed,
                own,
                error,
            )
