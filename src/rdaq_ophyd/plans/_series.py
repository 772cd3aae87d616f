"""Readings at a fixed rhythm."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.errors import LimitError, RdaqError

from ._events import Events
from ._light import Source
from ._scan import scan
from ._units import SECONDS

__all__ = ["TimeSeries", "time_series"]


@dataclass(frozen=True)
class TimeSeries:
    """How well the rhythm was kept.

    :ivar points: number of readings.
    :ivar skipped: beats that passed without a reading: it took too long, or the plan was paused.
    :ivar latest: the longest that a reading began after its beat, s.
    """

    points: int
    skipped: int
    latest: float = field(metadata={"units": "s"})


def time_series(
    *detectors: Readable[Any],
    num: Annotated[int, Field(ge=1, le=10_000_000, description="number of readings, 1 to 10000000")] = 10,
    period: Annotated[
        float,
        Field(
            ge=0,
            le=86400,
            allow_inf_nan=False,
            description="time from reading to reading, s (0 to 86400)",
            json_schema_extra=SECONDS,
        ),
    ] = 1.0,
    light: Source = None,
) -> MsgGenerator[TimeSeries | None]:
    """Read detectors ``num`` times, a reading every ``period`` seconds, without drift.

    Each reading begins at a whole number of periods after the first. One that takes longer than the period, or a pause,
    skips beats; the rhythm stays, and the number of readings too. One event a reading in the stream ``primary``.

    :raises LimitError: no reading, or a period that is no number from 0 to 86400.
    :raises RdaqError: no detector.
    """
    if not detectors:
        raise RdaqError("a time series of nothing", hint="give one detector or more")
    if num < 1:
        raise LimitError(f"{num} readings", hint="give 1 or more")
    if not (math.isfinite(period) and 0 <= period <= 86400):
        raise LimitError(f"period {period} s", hint="give 0 to 86400 s")
    begun: list[tuple[int, float]] = []

    def points(_: Events) -> MsgGenerator[None]:
        first = time.monotonic()
        beat = 0
        for _number in range(num):
            yield from bps.checkpoint()
            if (wait := first + beat * period - time.monotonic()) > 0:
                yield from bps.sleep(wait)
            now = time.monotonic() - first
            if period:
                beat = max(beat, math.floor(now / period))
            begun.append((beat, now))
            yield from bps.trigger_and_read(list(detectors))
            beat += 1

    def find(events: Events) -> TimeSeries:
        late = max(now - beat * period for beat, now in begun) if period else 0.0
        skipped = begun[-1][0] + 1 - num if period else 0
        return TimeSeries(len(events), skipped, max(0.0, late))

    return (yield from scan("time_series", detectors, [], num, points, find, light=light))
