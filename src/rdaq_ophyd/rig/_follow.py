"""A signal that follows another device: the power meter's wavelength, that of the laser."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable
from typing import Any

from bluesky.protocols import Locatable, Movable
from bluesky.utils import maybe_await
from ophyd_async.core import Device

from rdaq_ophyd.devices._forward import forward
from rdaq_ophyd.errors import ProfileError, RdaqError

logger = logging.getLogger(__name__)


class Follow:
    """After each ``source.set``, ``signal`` is set to what ``source`` reads then; only after that the set is done.

    :param signal: is set; ``source``: is followed.
    """

    def __init__(self, signal: Any, source: Any) -> None:
        self.signal, self.source = signal, source

    async def attach(self) -> None:
        """Begin, and bring the two together where they differ.

        :raises ProfileError: one of them cannot be set and read back, or their units differ.
        """
        for one in (self.signal, self.source):
            if not (isinstance(one, Movable) and isinstance(one, Locatable)):
                raise ProfileError(f"{one.name} cannot be set and read back", hint="name a signal or a device that can")
        units = [await _units(one) for one in (self.signal, self.source)]
        if units[0] != units[1]:
            what = f"{self.signal.name} is in {units[0]!r}, {self.source.name} in {units[1]!r}"
            raise ProfileError(what, hint="only quantities in the same units can follow each other")
        original = self.source.set

        def set_and_follow(*args: Any, **kwargs: Any) -> Any:
            return forward(original(*args, **kwargs), self.source.name, ended=self._ended)

        # On this one object only: whoever sets it, a plan, the prompt or another device, gets both.
        object.__setattr__(self.source, "set", set_and_follow)
        try:
            await self._sync()
        except RdaqError as error:
            logger.warning(
                "%s does not agree with %s before its next set: %s", self.signal.name, self.source.name, error
            )

    def detach(self) -> None:
        """End it; harmless when it did not begin."""
        vars(self.source).pop("set", None)

    async def _ended(self, moved: Awaitable[Any]) -> None:
        await moved
        try:
            await self._sync()
        except RdaqError as error:
            error.add_note(f"{self.source.name} was set; {self.signal.name}, which follows it, was not")
            raise

    async def _sync(self) -> None:
        wanted, has = await _where(self.source), await _where(self.signal)
        if not math.isclose(wanted, has, rel_tol=1e-9):
            await self.signal.set(wanted)


async def _where(device: Any) -> float:
    location = await maybe_await(device.locate())
    return float(location["readback"])


async def _units(device: Device) -> str | None:
    described: dict[str, Any] = await maybe_await(device.describe())  # type: ignore[attr-defined]
    key = described.get(device.name) or next(iter(described.values()))
    units: str | None = key.get("units")
    return units
