"""Calls to devices, on the RunEngine's loop, as an interactive session makes them."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from bluesky.protocols import Locatable, Movable, Readable, Stoppable
from bluesky.utils import maybe_await
from ophyd_async.core import DEFAULT_TIMEOUT, Device, Signal, SignalR, SignalW

from rdaq_ophyd.capabilities import Capability, capabilities, stop_capability
from rdaq_ophyd.errors import LimitError, MoveInterrupted, RdaqError, StopUnconfirmed
from rdaq_ophyd.operations import CALLER
from rdaq_ophyd.startup import QUITS, STOP_BOUND, Hand, Session, stop_one
from rdaq_ophyd.stop import latch
from rdaq_ophyd.wire import from_value, messages, to_value

from ._arrived import Arrived
from ._bounds import answered, over
from ._describe import add_limits, described, key_of, signals
from ._triggers import check_trigger, triggered

logger = logging.getLogger(__name__)
LONGEST = 600.0
"""Seconds that a set may take; what takes longer is a move."""

MOST_NAMES = 1000
"""Devices and signals that one call may read; a rig has some hundred signals."""
SHOWN = 100
"""Characters of a value in a message."""


class Devices:
    """The rig's devices, for callers on another loop.

    :param session: whose rig it is.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._arrived = Arrived()

    async def close(self) -> None:
        """Wait for no stop any more; when no call can arrive."""
        await self._arrived.close()

    @property
    def moving(self) -> list[str]:
        """What is moved or set by hand now."""
        return self._session.RE.turns.moving

    async def on_engine[T](self, make: Callable[[], Awaitable[T]]) -> T:
        """Await something on the RunEngine's loop; a cancelled caller cancels it there."""

        async def run() -> T:
            try:
                return await make()
            except QUITS as error:  # which would end the loop of the caller, too
                what = f"{type(error).__name__}: {error}".removesuffix(": ")
                raise RdaqError(f"a device wanted to end the program ({what}), which goes on") from error

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self._session.RE.loop))

    async def _answer[T](self, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        """The same for what only asks; bounded, since a device of others may hang."""
        return await answered(name, self.on_engine(ask))

    # -- looking --------------------------------------------------------------------------------------------

    async def listed(self) -> messages.ListDevicesReply:
        """All devices, without their signals."""
        rig = self._session.rig
        found = [
            await self._answer(name, partial(described, device, name)) for name, device in dict(rig.devices).items()
        ]
        failures = {name: str(error) for name, error in rig.failures.items()}
        return messages.ListDevicesReply(rig=rig.name, devices=found, failures=failures)

    async def described(self, name: str) -> messages.Device:
        """One device with its signals and parts."""
        device = self._session.rig[name]
        return await self._answer(name, lambda: described(device, name, whole=True))

    async def read(self, names: list[str]) -> messages.ReadReply:
        """Readings of devices and signals, asked now."""
        if not names:
            raise LimitError("nothing is to be read", hint="give names of devices or signals")
        reply = messages.ReadReply()
        for name in _distinct(names):
            device = self._session.rig[name]
            if not isinstance(device, Readable):
                known = ", ".join(f"{name}.{signal}" for signal in signals(device)) or "none"
                raise LimitError(f"{name} cannot be read as a whole", hint=f"its signals: {known}")
            for key, reading in (await self._answer(name, partial(_read, device))).items():
                reply.readings[key].CopyFrom(
                    messages.Reading(
                        value=to_value(reading["value"]),
                        timestamp=reading["timestamp"],
                        severity=reading.get("alarm_severity", 0),
                    )
                )
        return reply

    async def located(self, names: list[str]) -> messages.LocateReply:
        """Where axes are, and where they were sent; all axes unless some are named."""
        rig = self._session.rig
        axes = {name: rig[name] for name in _distinct(names)} or {
            name: device for name, device in dict(rig.devices).items() if isinstance(device, Locatable)
        }
        for name, axis in axes.items():
            if isinstance(axis, Signal) or not isinstance(axis, Locatable):
                raise LimitError(f"{name} cannot be located", hint="read it, or get its signals; axes can be located")
        asked = (self._answer(name, partial(_located, name, axis)) for name, axis in axes.items())
        found = await asyncio.gather(*asked)
        return messages.LocateReply(locations=found)

    # -- acting ---------------------------------------------------------------------------------------------

    def _by_hand(self, name: str, device: Any = None, *, alone: bool = False) -> AbstractContextManager[Hand]:
        """While the block runs no plan begins, and nobody else moves the same."""
        return self._session.RE.turns.by_hand(name, CALLER.get(), device, alone=alone)

    async def set(self, request: messages.SetRequest) -> messages.SetReply:
        """Set a signal and read it back."""
        name, timeout = request.name, request.timeout or DEFAULT_TIMEOUT
        if not (math.isfinite(timeout) and 0 < timeout <= LONGEST):
            raise LimitError(f"{name}: timeout {timeout:g} s", hint=f"above 0, up to {LONGEST:g} s")
        signal = self._session.rig[name]
        if not isinstance(signal, SignalW):
            hint = "move it" if isinstance(signal, Movable) else _settable(signal)
            raise LimitError(f"{name} is no signal that can be set", hint=hint)
        value = from_value(request.value)
        with self._by_hand(name), _refused(name, value):
            await self.on_engine(lambda: _until(signal.set(value, timeout=timeout)))
        if not isinstance(signal, SignalR):
            return messages.SetReply(readback=to_value(value))
        (reading,) = (await self._answer(name, lambda: signal.read(cached=False))).values()
        return messages.SetReply(readback=to_value(reading["value"]), severity=reading.get("alarm_severity", 0))

    async def move(self, request: messages.MoveRequest) -> AsyncIterator[messages.MoveProgress]:
        """Move, and tell how far it is; whoever stops listening stops it.

        :raises MoveInterrupted: it was told to stop; where that came before it began, nothing was sent.
        """
        name, device = request.name, self._session.rig[request.name]
        if Capability.MOVABLE not in capabilities(device) or isinstance(device, Signal):
            raise LimitError(f"{name} does not move", hint="set its signals, or name what moves")
        if not math.isfinite(request.target):
            raise LimitError(f"{name}: {request.target} is not a finite number", hint="give a number")
        trips = latch.trips
        with self._by_hand(name, device, alone=True) as hand:
            begun, start = time.monotonic(), await self._where(name, device)
            target = request.target + (start if request.relative else 0.0)
            last = messages.MoveProgress(current=start, initial=start, target=target)
            news: asyncio.Queue[Any] = asyncio.Queue(1)

            def check() -> None:
                # Where it is was asked for meanwhile: no stop since, and no reset behind it, is overtaken.
                if hand.stopped or latch.trips != trips:
                    raise MoveInterrupted(f"{name}: told to stop before it set out for {target:g}; nothing was sent")

            async with _Watching(self._session.RE.loop, device, target, news, check, trips):
                while (update := await news.get()) is not None:
                    last = _progress(last, update, time.monotonic() - begun)
                    yield last
            last.current, last.done, last.elapsed = await self._where(name, device), True, time.monotonic() - begun
            yield last

    async def trigger(self, request: messages.TriggerRequest) -> messages.ReadReply:
        """Trigger something and read it, where it has a value; whoever stops waiting stops it."""
        name, device = request.name, self._session.rig[request.name]
        timeout = check_trigger(device, request)
        with self._by_hand(name, device):
            await self.on_engine(lambda: triggered(device, timeout))
        return await self.read([name]) if isinstance(device, Readable) else messages.ReadReply()

    async def reconnect(self, name: str) -> messages.Device:
        """Try a device again; it is described as it is then."""
        with self._by_hand(name, self._session.rig.devices.get(name)):
            await self.on_engine(lambda: self._session.rig.reconnect(name))
        return await self.described(name)

    async def _where(self, name: str, device: Any) -> float:
        if not isinstance(device, Locatable):
            return math.nan
        return float((await self._answer(name, lambda: maybe_await(device.locate())))["readback"])

    async def stop(self, name: str) -> None:
        """Stop one device, also where the caller has gone meanwhile.

        :raises StopUnconfirmed: its ``stop`` does not return.
        """
        await self._arrived.see_through(self._stop(name))

    async def _stop(self, name: str) -> None:
        device: Device = self._session.rig[name]
        if not isinstance(device, Stoppable):
            raise LimitError(f"{name} cannot be stopped: {stop_capability(device)}", hint="stop everything")
        self._session.RE.turns.stopped(device)
        bound = asyncio.timeout(STOP_BOUND)
        try:
            async with bound:
                await self.on_engine(lambda: maybe_await(device.stop(success=False)))
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise StopUnconfirmed(
                f"the stop of {name} did not return within {STOP_BOUND:g} s", hint="look at it; stop everything"
            ) from error


def _settable(device: Device) -> str:
    if isinstance(device, Signal):
        return "it can be read alone"
    return f"its signals: {', '.join(signals(device)) or 'none'}"


@contextmanager
def _refused(name: str, value: Any) -> Iterator[None]:
    """What a signal says of a value that it cannot take is the caller's affair."""
    try:
        yield
    except RdaqError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        told = repr(value)
        shown = told if len(told) <= SHOWN else f"{told[:SHOWN]}…"
        raise LimitError(
            f"{name} does not take {shown}: {error}", hint="its type and limits: `rdaq ls NAME`"
        ) from error


def _distinct(names: list[str]) -> list[str]:
    """Each once: nobody gets more of a port by asking the same again and again.

    :raises LimitError: there are too many.
    """
    if len(names) > MOST_NAMES:
        raise LimitError(f"{len(names)} names at once", hint=f"give at most {MOST_NAMES}, and ask again for others")
    return list(dict.fromkeys(names))


async def _read(device: Readable[Any]) -> dict[str, Any]:
    return await maybe_await(device.read())


async def _located(name: str, axis: Any) -> messages.Location:
    location = await maybe_await(axis.locate())
    message = messages.Location(name=name, setpoint=location["setpoint"], readback=location["readback"])
    if isinstance(axis, Readable):
        add_limits(message, await key_of(axis))
    return message


async def _until(status: Awaitable[Any]) -> None:
    await status


class _Watching:
    """A move on the engine's loop while the block runs; left early, it is stopped, and that is waited for, bounded.

    :param news: gets the latest update at a time, and None when the move has ended. What it failed with is raised
        by the block's end.
    :param check: called on the engine's loop right before it begins; raises where it must not.
    :param trips: of the latch, when it began.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        device: Any,
        target: float,
        news: asyncio.Queue[Any],
        check: Callable[[], None],
        trips: int,
    ) -> None:
        self._loop, self._device, self._target, self._news = loop, device, target, news
        self._check, self._trips = check, trips
        self._task: asyncio.Task[Any] | None = None
        self._is_left = False

    async def __aenter__(self) -> None:
        here = asyncio.get_running_loop()

        def tell(update: Any) -> None:
            here.call_soon_threadsafe(_put_latest, self._news, update)

        async def move() -> None:
            self._task = asyncio.current_task()
            try:
                if self._is_left:
                    raise asyncio.CancelledError  # before it began
                self._check()
                status = self._device.set(self._target)
                if hasattr(status, "watch"):
                    status.watch(lambda **update: tell(update))
                await _move_or_stop(status, self._device)
            finally:
                tell(None)

        self._future = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(move(), self._loop))

    async def __aexit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is not None:
            self._loop.call_soon_threadsafe(self._cancel)
            what, by = f"{self._device.name} on its way to {self._target:g}", CALLER.get()
            logger.warning("%s was stopped: the call of %s that moved it was ended, or its connection broke", what, by)
            await over(self._device.name, self._future, self._trips)
            return
        await self._future

    def _cancel(self) -> None:
        self._is_left = True
        if self._task is not None:
            self._task.cancel()


async def _move_or_stop(status: Any, device: Any) -> None:
    try:
        await status
    except asyncio.CancelledError:
        if isinstance(device, Stoppable):
            await stop_one(device, success=False)
        raise


def _put_latest(news: asyncio.Queue[Any], update: Any) -> None:
    while not news.empty():
        news.get_nowait()
    news.put_nowait(update)


def _progress(last: messages.MoveProgress, update: dict[str, Any], elapsed: float) -> messages.MoveProgress:
    def number(key: str, otherwise: float) -> float:
        value = update.get(key)
        return otherwise if value is None else float(value)

    return messages.MoveProgress(
        current=number("current", last.current),
        initial=number("initial", last.initial),
        target=number("target", last.target),
        units=update.get("unit") or last.units,
        elapsed=elapsed,
    )
