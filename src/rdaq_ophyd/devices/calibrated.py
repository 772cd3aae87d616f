"""An axis in the coordinates of the experiment: the same motor, counted from a calibrated zero, in calibrated units."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from typing import Any

from bluesky.protocols import Location, Movable, Reading, Stoppable
from bluesky.utils import maybe_await
from event_model import DataKey, Limits, LimitsRange
from ophyd_async.core import (
    DEFAULT_TIMEOUT,
    CalculatableTimeout,
    Device,
    DeviceMock,
    SignalR,
    StandardMovable,
    StandardReadable,
    WatchableAsyncStatus,
    WatcherUpdate,
    derived_signal_r,
)
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability, stop_capability
from rdaq_ophyd.errors import LimitError, ProfileError, UnitsError
from rdaq_ophyd.signals import LinkDevice

from ._forward import forward
from .calibration import Calibration

__all__ = ["CalibratedAxis"]


class CalibratedAxis(StandardReadable, Movable[float], Stoppable):
    """Reads and moves ``axis`` as ``scale × (position of the axis − zero)``.

    Zero and scale are calibrations of the rig: set them, and this device reads and moves by the new ones. Limits, stops
    and everything else remain the axis's own.

    :param axis: any ophyd-async ``StandardMovable`` of numbers.
    :param calibration: of the rig.
    :param zero: name of the calibration that is the axis's position, in its units, where this device reads 0.
    :param scale: name of the calibration that is the change of the reading when the axis moves by one unit.
    :param units: of this device's reading; needed with ``scale``, else the axis's.
    :raises ProfileError: the axis cannot be calibrated, or ``units`` are missing.
    :raises UnknownName: no such calibration.
    """

    is_stop_target = True  # its axis is

    def __init__(
        self,
        axis: StandardMovable[float],
        calibration: Calibration,
        *,
        zero: str | None = None,
        scale: str | None = None,
        units: str | None = None,
        name: str = "",
    ) -> None:
        if not isinstance(axis, StandardMovable):
            raise ProfileError(
                f"{type(axis).__name__} is no axis that can be calibrated",
                hint="name a StandardMovable: a motor, a stage",
            )
        if scale is not None and units is None:
            raise ProfileError(f"scale = {scale!r} without units", hint="give the units of the calibrated axis")
        for used in filter(None, (zero, scale)):
            calibration.value(used)
        # Not children: the axis and the calibrations are devices of their own.
        object.__setattr__(self, "axis", axis)
        object.__setattr__(self, "calibration", calibration)
        self._zero_name, self._scale_name, self._units = zero, scale, units
        self._mocked = False
        self._axis_units: str | None = None
        raw = axis.movable_logic.readback
        zeros: Any = 0.0 if zero is None else getattr(calibration, zero)
        scales: Any = 1.0 if scale is None else getattr(calibration, scale)
        own = units if units is not None or zero is None else calibration.units(zero)
        with self.add_children_as_readables(Format.HINTED_UNCACHED_SIGNAL):
            self.readback: SignalR[float] = derived_signal_r(_calibrated, own, 4, raw=raw, zero=zeros, scale=scales)
        super().__init__(name=name)

    axis: StandardMovable[float]
    calibration: Calibration

    @property
    def stop_capability(self) -> StopCapability:
        """That of the axis."""
        return stop_capability(self.axis)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; its position has the same name."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.readback.set_name(name)

    async def connect(
        self, mock: bool | DeviceMock[Device] = False, timeout: float = DEFAULT_TIMEOUT, force_reconnect: bool = False
    ) -> None:
        """Connect the axis, and make sure that the zero is in its units.

        :raises ProfileError: it is in others.
        """
        # A mock that was made for this device is none for the axis.
        await self.axis.connect(mock is not False, timeout, force_reconnect)
        await super().connect(False, timeout, force_reconnect)
        self._mocked = bool(mock)
        if mock:
            return  # only a real axis knows its units
        units, _ = await self.axis.movable_logic.get_units_precision()
        self._axis_units = units
        if (
            self._zero_name is not None
            and units is not None
            and units != (own := self.calibration.units(self._zero_name))
        ):
            raise ProfileError(
                f"{self.name}: calibration {self._zero_name} is in {own!r}, {self.axis.name} in {units!r}",
                hint=f"give the calibration the units {units!r}",
            )

    @property
    def zero(self) -> float:
        """Position of the axis at which this device reads 0, in the axis's units."""
        return 0.0 if self._zero_name is None else self.calibration.value(self._zero_name)

    @property
    def scale(self) -> float:
        """How much the reading changes when the axis moves by one unit.

        :raises LimitError: it is 0.
        """
        scale = 1.0 if self._scale_name is None else self.calibration.value(self._scale_name)
        if scale == 0:
            raise LimitError(f"{self.name}: calibration {self._scale_name} is 0", hint="set its measured value")
        return scale

    def to_axis(self, value: float) -> float:
        """Position of the axis at which this device reads ``value``.

        :raises LimitError: ``value`` is not a finite number.
        """
        if not math.isfinite(value):
            raise LimitError(f"{self.name}: {value} is not a finite number", hint="give a position")
        return value / self.scale + self.zero

    async def check_value(self, value: float) -> None:
        """Refuse what the axis would refuse; nothing moves.

        :raises LimitError: ``value`` is not a finite number, or outside the limits of the axis.
        :raises UnitsError: the axis counts in another unit than when it was calibrated.
        """
        target = self.to_axis(value)
        await self._check_units()
        with self._in_both(value, target):
            await self.axis.check_value(target)

    @contextlib.contextmanager
    def _in_both(self, value: float, target: float) -> Iterator[None]:
        try:
            yield
        except LimitError as error:
            what = f"{self.name}: {value:g} is {target:g} on {self.axis.name}; {error.what}"
            raise LimitError(what, hint=error.hint) from error

    async def _check_units(self) -> None:
        if self._mocked:
            return  # only a real axis knows its units
        units, _ = await self.axis.movable_logic.get_units_precision()
        self._refuse_units(units)

    def _refuse_units(self, units: str | None) -> None:
        if units != self._axis_units:
            raise UnitsError(
                f"{self.name}: {self.axis.name} is in {units!r} now, and was calibrated in {self._axis_units!r}",
                hint=f"set it back to {self._axis_units!r}, or change the calibration and connect anew",
            )

    async def read(self) -> dict[str, Reading[Any]]:
        """Where it is.

        :raises UnitsError: the axis counts in another unit than when it was calibrated.
        """
        await self._check_units()
        readings: dict[str, Reading[Any]] = await super().read()
        return readings

    async def describe(self) -> dict[str, DataKey]:
        """With the limits of the axis, as this device counts."""
        described: dict[str, DataKey] = await super().describe()
        of_axis = await self.axis.movable_logic.setpoint.describe()
        ends = next(iter(of_axis.values())).get("limits", {}).get("control") or {}
        low, high = ends.get("low"), ends.get("high")
        if low is not None and high is not None:
            low, high = sorted(_calibrated(end, self.zero, self.scale) for end in (low, high))
            described[self.name]["limits"] = Limits(control=LimitsRange(low=low, high=high))
        return described

    def set(self, value: float, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT") -> WatchableAsyncStatus[float]:
        """Move the axis to where this device reads ``value``.

        :raises LimitError: ``value`` is not a finite number; or, from the status, outside the limits of the axis.
        :raises UnitsError: the axis counts in another unit than when it was calibrated.
        """
        target, zero, scale = self.to_axis(value), self.zero, self.scale
        if isinstance(self.axis, LinkDevice) and not self._mocked:
            self._refuse_units(self.axis.units_of(self.axis.movable_logic.readback))
        # The motion is asked for now, not in a task: a stop that comes next must find it.
        status = self.axis.set(target, timeout)

        def mapped(update: WatcherUpdate[float]) -> WatcherUpdate[float]:
            initial, current = (_calibrated(raw, zero, scale) for raw in (update.initial, update.current))
            unit = self._units or update.unit
            return replace(update, name=self.name, initial=initial, current=current, target=value, unit=unit)

        async def ended(moved: Awaitable[None]) -> None:
            with self._in_both(value, target):
                await moved

        return forward(status, self.name, mapped=mapped, ended=ended)

    async def locate(self) -> Location[float]:
        """Where it was told to go, and where it is.

        :raises UnitsError: the axis counts in another unit than when it was calibrated.
        """
        await self._check_units()
        found = await self.axis.locate()
        zero, scale = self.zero, self.scale
        return Location(
            setpoint=_calibrated(found["setpoint"], zero, scale), readback=_calibrated(found["readback"], zero, scale)
        )

    async def stop(self, success: bool = False) -> None:
        """Stop the axis, as it stops itself."""
        await maybe_await(self.axis.stop(success))  # type: ignore[no-untyped-call]

    async def set_current_position(self, value: float, *, why: str, by: str = "") -> None:
        """Let this device read ``value`` where the axis stands now: sets and keeps the zero. Nothing moves.

        :param why: the reason, recorded.
        :raises ProfileError: it has no zero.
        """
        if self._zero_name is None:
            raise ProfileError(f"{self.name} has no zero", hint="give it one in the profile")
        if not math.isfinite(value):
            raise LimitError(f"{self.name}: {value} is not a finite number", hint="give a position")
        await self._check_units()
        stands = await self.axis.movable_logic.readback.get_value(cached=False)
        await self.calibration.put(self._zero_name, stands - value / self.scale, why=why, by=by)


def _calibrated(raw: float, zero: float, scale: float) -> float:
    return scale * (raw - zero)
