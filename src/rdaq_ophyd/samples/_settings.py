"""Rate and block length as configuration signals, each checked before it reaches the card."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from ophyd_async.core import SignalRW, soft_signal_rw

from rdaq_ophyd.errors import CardError, LimitError

from ._format import BlockFormat
from ._pipeline import SamplePipeline

FEWEST, MOST = 2, 10_000_000
"""Samples that a block may have: one has no deviation, and is no time series."""
# Blocks in memory take no more than this, bytes.
_MEMORY = 256 << 20


class SamplingSettings:
    """Makes the signals ``rate`` (Hz) and ``samples`` (in a block).

    :raises CardError: the card has no channel in use.
    """

    def __init__(self, pipeline: SamplePipeline, samples: int) -> None:
        label = pipeline.driver.label
        if not pipeline.driver.channels():
            raise CardError(f"{label} has no channel in use", hint="give its driver one channel or more")
        self._pipeline = pipeline
        self._samples = samples
        self.rate: SignalRW[float] = soft_signal_rw(
            float, 0.0, units="Hz", precision=3, getter=self._rate, setter=self._set_rate
        )
        self.samples: SignalRW[int] = soft_signal_rw(int, 0, getter=self._get_samples, setter=self._set_samples)

    async def _rate(self) -> float:
        return await asyncio.to_thread(self._pipeline.driver.rate)

    async def _set_rate(self, value: float | None) -> float:
        driver, hertz = self._pipeline.driver, number(value, "Hz")
        allowed = await asyncio.to_thread(driver.rate_range)
        if not allowed.low <= hertz <= allowed.high:
            raise LimitError(
                f"{driver.label}: rate {value} Hz is not possible with {len(driver.channels())} channels",
                hint=f"choose from {allowed.low:g} to {allowed.high:g} Hz",
            )
        refuse_while_open(self._pipeline)
        await asyncio.to_thread(driver.set_rate, hertz)
        return await self._rate()

    async def _get_samples(self) -> int:
        return self._samples

    async def _set_samples(self, value: int | None) -> int:
        self.choose(value)
        return self._samples

    def choose(self, value: Any) -> None:
        """Make blocks of ``value`` samples.

        :raises LimitError: it is no whole number from 2 to 10 000 000, or such blocks do not fit into memory.
        :raises CardError: a file is open, whose blocks have another length.
        """
        driver = self._pipeline.driver
        whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        width = len(driver.channels()) * int(driver.dtype_numpy()[-1])
        most = min(MOST, _MEMORY // (4 * width))
        if not whole or not FEWEST <= value <= most:
            raise LimitError(f"{driver.label}: a block of {value!r} samples", hint=f"give {FEWEST} to {most}")
        if value != self._samples:
            refuse_while_open(self._pipeline)
        self._samples = int(value)

    def form(self) -> BlockFormat:
        """The blocks that are taken next."""
        driver = self._pipeline.driver
        return BlockFormat(tuple(c.name for c in driver.channels()), self._samples, driver.dtype_numpy())


def refuse_while_open(pipeline: SamplePipeline) -> None:
    """Refuse a change of what the open file says.

    :raises CardError: a file is open.
    """
    sink = pipeline.sink
    if sink is not None:
        raise CardError(
            f"{pipeline.driver.label}: {sink.path.name} is open, with other blocks or another calibration",
            hint="unstage the analog input before changing rate, samples or channels",
        )


def number(value: Any, what: str) -> float:
    """A finite number.

    :raises LimitError: it is none.
    """
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise LimitError(f"{value!r} is not a finite number", hint=f"give a number ({what})")
    return found
