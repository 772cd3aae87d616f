"""Changing the unit of an ESP300 axis on purpose (command ``SN``): afterwards no number means what it meant before."""

from __future__ import annotations

import asyncio
import math

from rdaq_ophyd.devices._esp300_settings import NOWHERE, AxisSettings
from rdaq_ophyd.devices._esp300_units import CODES, UNITS, AxisUnits, ratio
from rdaq_ophyd.devices._polled_fly import PolledFlyLogic
from rdaq_ophyd.errors import InstrumentError, MoveInterrupted, UnitsError

SAME = 1e-3
"""Relative difference up to which a velocity is the same in another unit: the controller rounds to encoder counts."""


class AxisUnitChange(AxisSettings):
    """The write side of ``unit``. While it is not known in which unit the axis counts, no target is allowed."""

    @property
    def _logic(self) -> PolledFlyLogic:
        raise NotImplementedError

    def _take_profile(self) -> None:
        """Use the limits and the tolerance that the profile has, or else the unit's."""
        unit = UNITS[2 if self._code is None else self._code]
        self._logic.limits = self._limits
        self._logic.tolerance = unit.tolerance if self._tolerance is None else self._tolerance

    async def _change_unit(self, unit: AxisUnits) -> None:
        """Set the unit, read everything again, and know the axis as what it is now.

        :raises UnitsError: the profile has limits that cannot be told in that unit, or the controller changed the name
            of the unit without its numbers; the axis has its old unit then.
        :raises InstrumentError: the stage does not know the unit.
        :raises MoveInterrupted: the axis moves; nothing was sent.
        """
        old, new = await self._ask_unit(), CODES[AxisUnits(unit)]
        if old == new:
            return
        profile = self._profile_in(old, new)
        self._forbid_moves()
        try:
            if self._logic.flying or not await self.done.get_value(cached=False):
                raise MoveInterrupted(f"{self.name}: moves; its unit is changed while it stands still", hint="wait")
            speed = await self.velocity.get_value(cached=False)
            await self._tell_unit(new)
        except (InstrumentError, MoveInterrupted):
            await self._know_again()
            raise
        await self._know_again()
        if not await self._rescaled(speed, ratio(old, new)):
            self._forbid_moves()
            await self._tell_unit(old)
            await self._know_again()
            raise UnitsError(
                f"{self.name}: the controller called its numbers {unit.value} but did not convert them",
                hint="its unit is as it was; configure the axis with the stage's own software",
            )
        self._limits, self._max_velocity, self._tolerance = profile
        self._take_profile()
        self.note_limits()
        await self.reacquaint()

    def _profile_in(self, old: int, new: int) -> tuple[tuple[float, float] | None, float | None, float | None]:
        """What the profile says of the axis, in another unit."""
        if self._limits is None and self._max_velocity is None and self._tolerance is None:
            return None, None, None
        if (factor := ratio(old, new)) is None:
            raise UnitsError(
                f"{self.name}: its profile has limits or a tolerance in {UNITS[old].symbol}, which cannot be told in "
                f"{UNITS[new].symbol}",
                hint="set the unit on the controller, give the profile its limits in that unit, and connect again",
            )
        limits = None if self._limits is None else (self._limits[0] * factor, self._limits[1] * factor)
        speed = None if self._max_velocity is None else self._max_velocity * factor
        return limits, speed, None if self._tolerance is None else self._tolerance * factor

    def _forbid_moves(self) -> None:
        self._code, self._logic.limits = None, NOWHERE
        self.note_limits()

    async def _tell_unit(self, code: int) -> None:
        if (check := self.write_checker) is not None:
            await self.channel.checked(f"{self.number}SN{code}", check)

    async def _know_again(self) -> None:
        """Read all that depends on the unit; subscribers see it too."""
        signals = (self.unit_code, self.low_limit, self.high_limit, self.max_velocity, self.max_acceleration)
        values = (self.velocity, self.acceleration, self.deceleration, self.home_velocity, self.setpoint, self.readback)
        await asyncio.gather(*(signal.get_value(cached=False) for signal in (*signals, *values)))
        await self.take_unit()
        self._take_profile()

    async def _rescaled(self, before: float, factor: float | None) -> bool:
        after = await self.velocity.get_value(cached=False)
        return factor is None or math.isclose(after, before * factor, rel_tol=SAME, abs_tol=1e-6)
