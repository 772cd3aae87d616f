"""How stages and state devices under Micro-Manager move: a target is sent, then they are busy until they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ophyd_async.core import (
    CalculatableTimeout,
    MovableLogic,
    SignalR,
    SignalRW,
    SoftSignalBackend,
    StandardMovable,
    StandardReadable,
    TimeoutCalculator,
    WatchableAsyncStatus,
    soft_signal_rw,
)
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.errors import MoveInterrupted, MoveTimeout, StopUnconfirmed
from rdaq_ophyd.stop import latch

from ._confirm import POLL
from ._interrupts import Interrupts
from ._mm_device import BOUND, Session

_REFRESH = 0.1  # s, between two readings while somebody watches
_STOP = StopCapability(
    StopMeans.SOFTWARE,
    note="past all that waits, but not past a call of the same adapter library that blocks; some stages have no stop",
)


@dataclass
class MicroManagerMove[T: float | str](MovableLogic[T]):
    """Sends a target and waits until the adapter is no longer busy and the device is there.

    :param moving: whether the adapter says that it is busy.
    :param check: refuses targets that are not allowed.
    :param there: whether a readback is the target.
    :param halt: stops the device, without waiting.
    :param seconds: bound for a move.
    """

    moving: SignalR[bool]
    check: Callable[[T], Awaitable[None]]
    there: Callable[[T, T], bool]
    halt: Callable[[], None]
    seconds: float
    interrupts: Interrupts = field(default_factory=Interrupts)

    async def stop(self) -> None:
        """Send the stop; waits for nothing."""
        self.halt()

    async def check_move(self, new_position: T) -> None:
        """Refuse what is not allowed.

        :raises LimitError: names the allowed values.
        """
        await self.check(new_position)

    async def calculate_timeout(self, old_position: T, new_position: T) -> float:  # noqa: ARG002  speed is not known
        """The bound that was given: Micro-Manager does not tell speeds."""
        return self.seconds

    async def move(self, new_position: T, timeout: TimeoutCalculator) -> None:
        """Move and wait; what goes wrong stops the device. Nothing is sent twice.

        :raises MoveInterrupted: it was stopped, or stands elsewhere.
        :raises MoveTimeout: it took too long.
        """
        before = self.interrupts.at_call()
        try:
            await self.setpoint.set(new_position)
            await self._wait(timeout, before)
        except BaseException:
            if self.interrupts.count == before:
                self.halt()
            raise
        position = await self.readback.get_value(cached=False)
        if self.interrupts.count != before or not self.there(position, new_position):
            stopped = "told to stop on its way to" if self.interrupts.count != before else "not at"
            raise MoveInterrupted(
                f"{self.readback.name}: stands at {position}, {stopped} {new_position}",
                hint="somebody else moved it, or the tolerance is too tight" if stopped == "not at" else "",
            )

    async def _wait(self, timeout: TimeoutCalculator, before: int) -> None:
        while await self.moving.get_value(cached=False):
            if self.interrupts.count != before:
                return
            if timeout() == 0.0:
                raise MoveTimeout(
                    f"{self.readback.name}: still moving after {self.seconds:g} s; it was told to stop",
                    hint="give the device a longer seconds= if it is that slow",
                )
            await asyncio.sleep(POLL)


class MicroManagerMover[T: float | str](StandardReadable, StandardMovable[T]):
    """Something that takes a target and is busy until it is there."""

    stop_capability = _STOP
    is_stop_target = True  # its part of Micro-Manager
    readback: SignalR[Any]
    """Where it is: µm of a stage, the label of a state."""
    setpoint: SignalRW[Any]
    """Where it was sent last; writing it sends it there. Plans use ``set`` of the device."""
    moving: SignalRW[bool]
    """Whether the adapter says that it is busy."""
    _session: Session
    _seconds: float

    @cached_property
    def movable_logic(self) -> MicroManagerMove[T]:
        """How it moves."""
        logic = MicroManagerMove[T](
            setpoint=self.setpoint,
            readback=self.readback,
            moving=self.moving,
            check=self._check,
            there=self._there,
            halt=self._session.halt,
            seconds=self._seconds,
        )
        self._session.on_halt(logic.interrupts.add)
        return logic

    def _signals(
        self, datatype: type[Any], units: str | None, get: Callable[[Any], T], put: Callable[[Any, T], None]
    ) -> None:
        """Make the three signals; ``get`` and ``put`` are called with the core in the lane of the device."""
        session, label = self._session, self._session.label
        sent: list[T] = []

        async def read() -> T:
            if session.mock:
                return self._place.reading["value"]  # type: ignore[no-any-return]
            return await session.mm.ask(label, f"{self.name} cannot be read", get)

        async def write(value: T | None) -> T:
            assert value is not None
            interrupts = self.movable_logic.interrupts
            before = interrupts.at_call()

            def send(core: Any) -> None:
                latch.check(f"{self.name}: a move")
                if interrupts.count != before:
                    raise MoveInterrupted(f"{self.name}: told to stop before it set out; nothing was sent")
                put(core, value)

            if not session.mock:
                await session.mm.ask(label, f"{self.name} refuses {value}", send)
            sent[:] = [value]
            return value

        async def busy() -> bool:
            if session.mock:
                return False
            return bool(await session.mm.ask(label, f"{self.name} does not answer", lambda c: c.deviceBusy(label)))

        async def target() -> T:
            return sent[0] if sent else await read()

        precision = 3 if datatype is float else None
        self._place: SoftSignalBackend[Any] = SoftSignalBackend(
            datatype, None, units, precision, getter=read, poll_period=_REFRESH
        )
        with self.add_children_as_readables(Format.HINTED_UNCACHED_SIGNAL):
            self.readback = SignalR(self._place)
        self.setpoint = soft_signal_rw(datatype, None, "", units, precision, getter=target, setter=write)
        self.moving = soft_signal_rw(bool, False, getter=busy)

    async def _check(self, value: T) -> None:
        raise NotImplementedError

    def _there(self, position: T, target: T) -> bool:
        raise NotImplementedError

    def set(self, new_position: T, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT") -> WatchableAsyncStatus[T]:
        """Move to ``new_position``; a stop from now on ends the move, also one that comes before anything was sent."""
        with self.movable_logic.interrupts.noted():
            return super().set(new_position, timeout)

    async def stop(self, success: bool = False) -> None:
        """Stop, and wait until the adapter is no longer busy, for 5 s at most.

        :raises StopUnconfirmed: it still is.
        """
        await super().stop(success)  # type: ignore[no-untyped-call]
        try:
            await asyncio.to_thread(self._session.wait, BOUND)
        except TimeoutError as error:
            raise StopUnconfirmed(
                f"{self.name}: {str(error) or f'no answer within {BOUND:g} s'}", hint="see whether it moves"
            ) from error

    def halt(self) -> None:
        """Send the stop from any thread, without waiting."""
        self._session.halt()
