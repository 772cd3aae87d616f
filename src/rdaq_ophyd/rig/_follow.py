"""A signal that follows another device: the power meter's wavelength, that of the laser."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

from bluesky.protocols import Locatable, Location, Movable, Readable, Triggerable
from bluesky.utils import maybe_await
from ophyd_async.core import AsyncStatus, Device

from rdaq_ophyd.devices._forward import forward
from rdaq_ophyd.errors import MoveTimeout, ProfileError, RdaqError

logger = logging.getLogger(__name__)
POLL = 0.1
"""Seconds between two questions where the source is, while it is on its way."""
AT_REST = 1.0
"""Seconds after which a source that is elsewhere than it was sent, and stays there, counts as at rest."""
PATIENCE = 60.0
"""Seconds in which the source must come to rest."""


class Follow:
    """``signal`` is set to what ``source`` reads: after each set of it, and before each reading that depends on it.

    A set of ``source`` is done when ``signal`` has it too. Where that set failed or was stopped, where the setpoint of
    ``source`` was written past it, and where ``source`` changed by itself, ``signal`` is brought to it once it is at
    rest; at the latest by the next trigger of the device that ``signal`` belongs to (where that has none, its next
    read), which fails when they cannot be brought together.

    :param signal: is set; ``source``: is followed.
    """

    def __init__(self, signal: Any, source: Any) -> None:
        self.signal, self.source = signal, source
        self._tolerance = 0.0
        self._sets, self._stopped = 0, False
        self._rest: Location[float] | None = None
        self._given: tuple[float, float] | None = None
        self._lock = asyncio.Lock()
        self._behind: asyncio.Task[None] | None = None
        self._wrapped: list[tuple[Any, str]] = []

    async def attach(self) -> None:
        """Begin, and bring the two together where they differ.

        :raises ProfileError: one of them cannot be set and read back, or their units differ.
        """
        for one in (self.signal, self.source):
            if not (isinstance(one, Movable) and isinstance(one, Locatable)):
                raise ProfileError(f"{one.name} cannot be set and read back", hint="name a signal or a device that can")
        keys = [await _key(one) for one in (self.signal, self.source)]
        units = [key.get("units") for key in keys]
        if units[0] != units[1]:
            what = f"{self.signal.name} is in {units[0]!r}, {self.source.name} in {units[1]!r}"
            raise ProfileError(what, hint="only quantities in the same units can follow each other")
        # Half of the last digit that the signal has: nearer than that it cannot come.
        self._tolerance = 0.0 if (digits := keys[0].get("precision")) is None else 0.5 * 10.0**-digits
        self._watch_source()
        self._watch_readings()
        await self.check_or_tell()

    def _watch_source(self) -> None:
        original = self.source.set

        def set_and_follow(*args: Any, **kwargs: Any) -> Any:
            status = forward(original(*args, **kwargs), self.source.name, ended=self._ended)
            self._sets += 1
            self._stopped = False
            self._enough()
            status.add_callback(self._set_ended)
            return status

        self._wrap(self.source, "set", set_and_follow)
        if (stop := getattr(self.source, "stop", None)) is not None:

            def stop_and_follow(*args: Any, **kwargs: Any) -> Any:
                self._stopped = True  # it may still be under way, also where its set then counts as succeeded
                return stop(*args, **kwargs)

            self._wrap(self.source, "stop", stop_and_follow)
        setpoint = getattr(getattr(self.source, "movable_logic", None), "setpoint", None)
        if isinstance(setpoint, Movable):
            write = setpoint.set

            def write_and_follow(*args: Any, **kwargs: Any) -> Any:
                status: Any = write(*args, **kwargs)
                if not self._sets:  # the source's own sets write it too, and follow when they have ended
                    status.add_callback(lambda _: self._later())
                return status

            self._wrap(setpoint, "set", write_and_follow)

    def _watch_readings(self) -> None:
        owner: Any = self.signal.parent
        while owner is not None and not isinstance(owner, Readable | Triggerable):
            owner = owner.parent
        if owner is None or owner is self.source:
            return
        if isinstance(owner, Triggerable):
            trigger: Callable[[], Any] = owner.trigger
            name: str = getattr(owner, "name", "")

            async def checked() -> None:
                await self.check()
                await trigger()

            self._wrap(owner, "trigger", lambda: AsyncStatus(checked(), name))
        else:
            read: Callable[[], Any] = owner.read

            async def checked_read() -> Any:
                await self.check()
                return await maybe_await(read())

            self._wrap(owner, "read", checked_read)

    def _wrap(self, device: Any, method: str, by: Callable[..., Any]) -> None:
        # On this one object only: whoever calls it, a plan, the prompt or another device, gets both.
        object.__setattr__(device, method, by)
        self._wrapped.append((device, method))

    def detach(self) -> None:
        """End it; harmless when it did not begin."""
        for device, method in self._wrapped:
            vars(device).pop(method, None)
        self._wrapped.clear()
        self._enough()

    async def _ended(self, moved: Awaitable[Any]) -> None:
        await moved
        try:
            there = await _where(self.source)
            await self._give(there["readback"])
        except RdaqError as error:
            error.add_note(f"{self.source.name} was set; {self.signal.name}, which follows it, was not")
            raise
        if not self._stopped:
            self._rest = there

    def _set_ended(self, status: Any) -> None:
        self._sets -= 1
        if not self._sets and (self._stopped or not status.success):
            self._later()

    def _later(self) -> None:
        """Bring them together when the source is at rest; nobody waits for it."""
        if self._wrapped:
            self._enough()
            self._behind = asyncio.ensure_future(self._or_tell(self._catch_up))

    def _enough(self) -> None:
        if self._behind is not None:
            self._behind.cancel()

    async def _catch_up(self) -> None:
        await self._give(await self._at_rest())

    async def _or_tell(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except (RdaqError, TimeoutError) as error:
            what = "%s does not agree with %s: %s; tried again before it is read with"
            logger.warning(what, self.signal.name, self.source.name, error)

    async def check_or_tell(self) -> None:
        """The same as ``check``; where it fails, the log tells."""
        await self._or_tell(self.check)

    async def check(self) -> None:
        """Bring the two together where they differ.

        :raises RdaqError: they cannot be; what depends on ``signal`` would be wrong.
        """
        try:
            there = await _where(self.source)
            at_rest = self._near(there["readback"], there["setpoint"]) or self._rested(there)
            if not at_rest or not await self._has(there["readback"]):
                moved = bool(self._sets) and not self._stopped  # deliberately read on the way
                await self._give(there["readback"] if moved else await self._at_rest())
        except RdaqError as error:
            error.add_note(f"{self.signal.name} follows {self.source.name}, and what is read with it would be wrong")
            raise

    async def _has(self, value: float) -> bool:
        has = float((await _where(self.signal))["readback"])
        if self._given is not None and has == self._given[1]:  # it may have rounded what it was given
            return self._near(value, self._given[0])
        return self._near(value, has)

    async def _give(self, value: float) -> None:
        async with self._lock:
            if not await self._has(value):
                await self.signal.set(value)
                self._given = value, (await _where(self.signal))["readback"]

    def _near(self, one: float, other: float) -> bool:
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=self._tolerance)

    def _rested(self, there: Location[float]) -> bool:
        """Whether it rests there, off its setpoint, as it did before."""
        rest = self._rest
        return rest is not None and all(
            self._near(one, other)
            for one, other in ((there["setpoint"], rest["setpoint"]), (there["readback"], rest["readback"]))
        )

    async def _at_rest(self) -> float:
        clock = asyncio.get_running_loop().time
        begun = since = clock()
        last = math.nan
        while True:
            there = await _where(self.source)
            at = there["readback"]
            if not self._near(at, last):
                last, since = at, clock()
            elif self._near(at, there["setpoint"]) or clock() - since > AT_REST:
                self._rest = there
                return at
            if clock() - begun > PATIENCE:
                raise MoveTimeout(
                    f"{self.source.name}: at {at:g}, and not at rest after {PATIENCE:g} s", hint="what moves it?"
                )
            await asyncio.sleep(POLL)


async def _where(device: Any) -> Location[float]:
    location = await maybe_await(device.locate())
    return Location(setpoint=float(location["setpoint"]), readback=float(location["readback"]))


async def _key(device: Device) -> dict[str, Any]:
    described: dict[str, Any] = await maybe_await(device.describe())  # type: ignore[attr-defined]
    found: dict[str, Any] = described.get(device.name) or next(iter(described.values()))
    return found
