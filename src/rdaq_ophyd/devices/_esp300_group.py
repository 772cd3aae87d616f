"""Several axes of an ESP300 that start, and are stopped, by one line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from ophyd_async.core import AsyncStatus

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.devices._confirm import stop_each
from rdaq_ophyd.devices._esp300_axis import Esp300Axis
from rdaq_ophyd.devices._esp300_base import Esp300Device
from rdaq_ophyd.devices._esp300_errors import AXIS, NOT_ENABLED, Fault
from rdaq_ophyd.errors import LimitError, MoveInterrupted
from rdaq_ophyd.link import Link, SerialSettings

Targets = Mapping[str, float] | Sequence[float]
"""One position for each axis: by its name, or in the order of the group."""


class Esp300Group(Esp300Device):
    """Axes of one controller, moved together: ``bps.mv(esp.xy, [1.0, 2.0])``.

    All are checked before anything is sent, then one line starts them all. When one fails, all of them are stopped.
    Each goes at its own velocity: together they begin, they do not follow a straight line.

    :param link: that of the controller.
    :param axes: by their names; parts of the controller.
    :param name: of the group.
    """

    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.PREEMPTS,
        0.005,
        "one line with an ST for each axis is written past all that waits; then they decelerate; "
        "stop() returns within 5 s more",
    )

    def __init__(
        self,
        link: Link | str,
        axes: Mapping[str, Esp300Axis],
        name: str = "",
        *,
        serial: SerialSettings | None = None,
    ) -> None:
        self.axes = dict(axes)
        self._moving: AsyncStatus[None] | None = None
        super().__init__(link, None, name, serial=serial)

    def targets(self, value: Targets) -> dict[Esp300Axis, float]:
        """The target of each axis.

        :raises LimitError: not one number for each axis of the group.
        """
        names = ", ".join(self.axes)
        if isinstance(value, Mapping):
            if set(value) != set(self.axes):
                raise LimitError(
                    f"{self.name}: {', '.join(value)} are not its axes", hint=f"give one position each: {names}"
                )
            return {axis: float(value[name]) for name, axis in self.axes.items()}
        if len(value) != len(self.axes):
            raise LimitError(f"{self.name}: {len(value)} positions", hint=f"give one position each: {names}")
        return {axis: float(target) for axis, target in zip(self.axes.values(), value, strict=True)}

    async def check_value(self, value: Targets) -> None:
        """Refuse targets that one of the axes would refuse.

        :raises LimitError: a target is outside the limits of its axis; nothing was sent.
        """
        for axis, target in self.targets(value).items():
            await axis.check_value(target)

    def set(self, value: Targets, timeout: float | None = None) -> AsyncStatus[None]:
        """Move all axes, started by one line; a stop of any of them from now on stops all.

        :param value: one position for each axis, by name or in the order of the group.
        :param timeout: in seconds; None: that of the axis that takes longest.
        """
        before = {axis: axis.movable_logic.interrupts.count for axis in self.axes.values()}
        return AsyncStatus(self._move(value, timeout, before))

    async def _move(self, value: Targets, timeout: float | None, before: Mapping[Esp300Axis, int]) -> None:
        """Check, start, and wait for all.

        :raises LimitError: a target is outside its limits; nothing was sent.
        :raises InstrumentError: a motor is off, or the controller refused one of the moves; all were told to stop.
        :raises MoveInterrupted: one of the axes was stopped, or was moving already.
        """
        targets = self.targets(value)
        await self.check_value(value)
        await asyncio.gather(*(self._check_ready(axis) for axis in targets))
        seconds = await self._seconds(targets) if timeout is None else timeout
        start = Start(lambda: self._send(targets))
        moves = [self._begin(axis, target, seconds, start) for axis, target in targets.items()]
        try:
            # None of them has run yet: stops before now are found here, later ones by the moves themselves.
            if any(axis.movable_logic.interrupts.count != count for axis, count in before.items()):
                raise MoveInterrupted(f"{self.name}: told to stop before it set out; nothing was sent")
            await asyncio.gather(*moves)
        except BaseException:
            # Cancelled, a move stops its axis; it has to be awaited, for it sends that.
            for move in moves:
                move.cancel()
            start.cancel()
            await asyncio.wait(moves)
            for move in moves:
                if not move.cancelled():
                    move.exception()  # told by the first
            raise

    @staticmethod
    def _begin(axis: Esp300Axis, target: float, seconds: float, start: Start) -> asyncio.Task[None]:
        logic = axis.movable_logic
        with logic.interrupts.noted():
            return asyncio.ensure_future(logic.move(target, lambda: seconds, start))

    async def _check_ready(self, axis: Esp300Axis) -> None:
        """Make sure that the controller will not refuse the axis' part of the line when it started the others."""
        enabled, done = await asyncio.gather(axis.enabled.get_value(cached=False), axis.done.get_value(cached=False))
        if not enabled:
            raise Fault(axis.number, 100 * axis.number + NOT_ENABLED, AXIS[NOT_ENABLED], "").error(axis.label)
        if not done or axis.movable_logic.flying:
            raise MoveInterrupted(f"{self.name}: {axis.name} moves already; nothing was sent", hint="wait, or stop it")

    async def _seconds(self, targets: Mapping[Esp300Axis, float]) -> float:
        times = []
        for axis, target in targets.items():
            here = await axis.readback.get_value(cached=False)
            times.append(await axis.movable_logic.calculate_timeout(here, target))
        return max(times)

    async def _send(self, targets: Mapping[Esp300Axis, float]) -> None:
        if self._mock is not None:
            await asyncio.gather(*(axis.setpoint.set(target) for axis, target in targets.items()))
            return
        line = ";".join(f"{axis.number}PA{target:.7f}" for axis, target in targets.items())
        reply = await self.channel.exchange(line, self.write_check, unheard=self.errors.overhear)
        await self.empty_errors(reply)
        for axis in targets:
            if self.errors.pending(axis.number):
                self.errors.raise_for(axis.number, axis.label)

    def halt(self) -> None:
        """Stop the axes of the group now by one line, from any thread, without an event loop.

        :raises LinkClosed: there is no link to the controller.
        """
        self.note_stop()
        logics = [axis.movable_logic for axis in self.axes.values()]
        if self._mock is None:
            for logic in logics:
                logic.adrift = True
            self.channel.preempt(";".join(f"{axis.number}ST" for axis in self.axes.values()))
        for logic in logics:
            logic.adrift = False

    def note_stop(self) -> None:
        """Moves of its axes end as interrupted."""
        for axis in self.axes.values():
            axis.note_stop()

    async def stop(self, success: bool = False) -> None:
        """Stop the axes of the group and confirm it; bounded as that of an axis.

        :raises StopUnconfirmed: one still moves, or did not answer; all were told to stop.
        """
        self.halt()
        await confirm_each(self.axes.values(), success)

    async def where(self) -> dict[str, float]:
        """Where the axes are, by name, asked now."""
        # No Locatable: those have one place, which tables of axes and saved positions rely on.
        places = await asyncio.gather(*(axis.readback.get_value(cached=False) for axis in self.axes.values()))
        return dict(zip(self.axes, places, strict=True))


class Start:
    """Sends the line once, whichever of the axes comes first, and tells all of them what became of it."""

    def __init__(self, send: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._sending: asyncio.Future[None] | None = None

    async def __call__(self) -> None:
        """Send it, or wait for it. Cancelled by one axis, it is taken back for all, if it was not sent yet."""
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send())
        await self._sending

    def cancel(self) -> None:
        """Take it back."""
        if self._sending is not None:
            self._sending.cancel()


async def confirm_each(axes: Iterable[Esp300Axis], success: bool) -> None:
    """Confirm that each of them stands still; they were told already.

    :raises StopUnconfirmed: the first that does not; the others are notes.
    """
    axes = list(axes)
    if success:  # here already: the moves may end before the axes' own stops begin
        for axis in axes:
            axis.movable_logic.interrupts.pardon()
    await stop_each(axis.stop(success) for axis in axes)
