"""Changing the unit of an ESP300 axis on purpose (command ``SN``): afterwards no number means what it meant before."""

from __future__ import annotations

import asyncio
import contextlib
import math

from rdaq_ophyd.devices._esp300_settings import NOWHERE, AxisSettings
from rdaq_ophyd.devices._esp300_units import CODES, UNITS, AxisUnits, ratio
from rdaq_ophyd.devices._polled_fly import PolledFlyLogic
from rdaq_ophyd.errors import LinkError, MoveInterrupted, RdaqError, UnitsError

SAME = 1e-3
"""Relative difference up to which a velocity is the same in another unit: the controller rounds to encoder counts."""


class AxisUnitChange(AxisSettings):
    """The write side of ``unit``. While it is not known in which unit the axis counts, no target is allowed."""

    _profile_code: int | None = None
    """The unit of what the profile says of the axis: that of the first connection."""

    @property
    def _logic(self) -> PolledFlyLogic:
        raise NotImplementedError

    def take_profile(self) -> None:
        """Allow moves within what the profile says, told in the unit that the axis has now.

        :raises UnitsError: the unit was changed to one in which the profile's limits cannot be told (counts, steps).
        """
        code = 2 if self._code is None else self._code
        if self._profile_code is None:
            self._profile_code = code
        factor = self._profile_factor(code)
        limits, tolerance, speed = self._profile
        self._limits = None if limits is None else (limits[0] * factor, limits[1] * factor)
        self._max_velocity = None if speed is None else speed * factor
        self._logic.limits = self._limits
        self._logic.tolerance = UNITS[code].tolerance if tolerance is None else tolerance * factor
        self._unit_known = True
        self.note_limits()

    def _profile_factor(self, code: int) -> float:
        old = code if self._profile_code is None else self._profile_code
        factor = ratio(old, code)
        if factor is not None:
            return factor
        if any(value is not None for value in self._profile):
            raise UnitsError(
                f"{self.name}: its profile has limits or a tolerance in {UNITS[old].symbol}, which cannot be told in "
                f"{UNITS[code].symbol}",
                hint="set the unit on the controller, give the profile its limits in that unit, and start anew",
            )
        return 1.0

    async def _change_unit(self, unit: AxisUnits) -> None:
        """Set the unit, read everything again, and know the axis as what it is now.

        :raises UnitsError: the profile has limits that cannot be told in that unit, or the controller changed the name
            of the unit without its numbers; the axis has its old unit then.
        :raises InstrumentError: the stage does not know the unit.
        :raises MoveInterrupted: the axis moves; nothing was sent.
        """
        old, new = await self._ask_unit(), CODES[AxisUnits(unit)]
        if old == new and self._unit_known:
            return
        self._profile_factor(new)
        self._forbid_moves()
        try:
            if self._logic.flying or not await self.done.get_value(cached=False):
                raise MoveInterrupted(f"{self.name}: moves; its unit is changed while it stands still", hint="wait")
            speed = await self.velocity.get_value(cached=False)
            await self._tell_unit(new)
        except RdaqError:
            with contextlib.suppress(LinkError):  # what happened first is to be told
                await self._know_again()
                await self._use_unit(old)
            raise
        await self._know_again()
        if not await self._rescaled(speed, ratio(old, new)):
            await self._tell_unit(old)
            await self._know_again()
            await self._use_unit(old)
            raise UnitsError(
                f"{self.name}: the controller called its numbers {unit} but did not convert them",
                hint="its unit is as it was; configure the axis with the stage's own software",
            )
        await self._use_unit(old)

    def _forbid_moves(self) -> None:
        self._unit_known, self._logic.limits = False, NOWHERE
        self.note_limits()

    async def _tell_unit(self, code: int) -> None:
        if (check := self.write_checker) is not None:
            await self.channel.checked(f"{self.number}SN{code}", check)

    async def _know_again(self) -> None:
        """Read all that depends on the unit; subscribers see it too."""
        await self.take_unit()
        signals = (self.unit_code, self.low_limit, self.high_limit, self.max_velocity, self.max_acceleration)
        values = (self.velocity, self.acceleration, self.deceleration, self.home_velocity, self.setpoint, self.readback)
        await asyncio.gather(*(signal.get_value(cached=False) for signal in (*signals, *values)))

    async def _use_unit(self, before: int) -> None:
        self.take_profile()
        if self._code != before:
            await self.reacquaint()

    async def _rescaled(self, before: float, factor: float | None) -> bool:
        after = await self.velocity.get_value(cached=False)
        return factor is None or math.isclose(after, before * factor, rel_tol=SAME, abs_tol=1e-6)
