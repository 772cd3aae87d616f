"""The channels of an analog input as children of the device."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any

from ophyd_async.core import Device, SignalR, SignalRW, soft_signal_r_and_setter, soft_signal_rw

from rdaq_ophyd.errors import CardError, LimitError, UnknownName

from ._documents import TIMES
from ._format import Calibration, Channel, Coupling
from ._pipeline import SamplePipeline
from ._records import COLUMNS, ChannelRecord
from ._settings import number, refuse_while_open

# Taken in the file beside the channels.
_TAKEN = {*COLUMNS, *TIMES, "sample_time", "card"}


class AnalogChannel(Device):
    """Settings of one channel, all configuration.

    ``range`` is the upper end of its input range in the card's units, ``coupling`` what is before the converter; those
    are there if the card lets one choose.
    ``scale`` and ``offset`` are its user's calibration: recorded is ``measured · scale + offset``, in ``units``.
    """

    def __init__(self, pipeline: SamplePipeline, channel: Channel, calibration: Calibration) -> None:
        self._pipeline, self._channel, self._calibration = pipeline, channel.name, calibration
        if channel.ranges:
            self.range: SignalRW[float] = soft_signal_rw(
                float, 0.0, units=channel.units, getter=self._range, setter=self._set_range
            )
        if channel.couplings:
            self.coupling: SignalRW[Coupling] = soft_signal_rw(
                Coupling, channel.coupling, getter=self._coupling, setter=self._set_coupling
            )
        self.units, self._set_units = soft_signal_r_and_setter(str, calibration.units or channel.units)
        self.scale = self._factor("scale")
        self.offset = self._factor("offset")
        super().__init__()

    def signals(self) -> tuple[SignalR[Any], ...]:
        """All of them, for the configuration."""
        settings = (getattr(self, name) for name in ("range", "coupling") if hasattr(self, name))
        return (*settings, self.units, self.scale, self.offset)

    def opened(self) -> None:
        """Look again for the units: some cards know them only when they are open."""
        self._set_units(self._calibration.units or self._now().units)

    def record(self) -> ChannelRecord:
        """What a file says about the channel."""
        return ChannelRecord(self._now(), self._calibration)

    def _now(self) -> Channel:
        return next(c for c in self._pipeline.driver.channels() if c.name == self._channel)

    def _factor(self, name: str) -> SignalRW[float]:
        async def get() -> float:
            return float(getattr(self._calibration, name))

        async def put(value: float | None) -> float:
            old = self._calibration
            numbers = {"scale": old.scale, "offset": old.offset, name: number(value, name)}
            made = Calibration(old.units, **numbers)
            refuse_while_open(self._pipeline)
            self._calibration = made
            return await get()

        return soft_signal_rw(float, 0.0, precision=9, getter=get, setter=put)

    async def _range(self) -> float:
        now = self._now().input_range
        assert now is not None
        return now.high

    async def _set_range(self, value: float | None) -> float:
        channel, wanted = self._now(), number(value, self._now().units)
        found = next((r for r in channel.ranges if math.isclose(r.high, wanted)), None)
        if found is None:
            known = ", ".join(f"{r.high:g} (for {r})" for r in channel.ranges)
            raise LimitError(
                f"{self.name}: no range up to {value} {channel.units}", hint=f"it has {known} {channel.units}"
            )
        await self._put(lambda: self._pipeline.driver.set_range(self._channel, found))
        return await self._range()

    async def _coupling(self) -> Coupling:
        now = self._now().coupling
        assert now is not None
        return now

    async def _set_coupling(self, value: Any) -> Coupling:
        wanted, known = Coupling(value), self._now().couplings
        if wanted not in known:
            raise LimitError(f"{self.name}: no coupling {wanted.value}", hint="it has " + ", ".join(known))
        await self._put(lambda: self._pipeline.driver.set_coupling(self._channel, wanted))
        return await self._coupling()

    async def _put(self, setting: Callable[[], None]) -> None:
        refuse_while_open(self._pipeline)
        await asyncio.to_thread(setting)


def add_channels(
    device: Device, pipeline: SamplePipeline, calibrations: Mapping[str, Calibration]
) -> list[AnalogChannel]:
    """Make the channels of the pipeline's card attributes of ``device``.

    :raises CardError: one has a name that cannot be used, or that another has.
    :raises UnknownName: a calibration is for a channel that is not there.
    """
    made = {}
    label = pipeline.driver.label
    for channel in pipeline.driver.channels():
        name = channel.name
        if not name.isidentifier() or name.startswith("_") or name in _TAKEN or hasattr(device, name) or name in made:
            raise CardError(
                f"{label}: {name!r} cannot be the name of a channel",
                hint="use letters, digits and underscores, and no word that the device itself has, such as rate",
            )
        made[name] = AnalogChannel(pipeline, channel, calibrations.get(name, Calibration()))
    for name in calibrations:
        if name not in made:
            raise UnknownName.among("channel", name, made)
    for name, child in made.items():
        setattr(device, name, child)
    return list(made.values())
