"""Readings at a fixed rhythm, without drift.

python plans/time_series.py --profile sim --light laser --num 5 --period 0.5
rdaq run plans/time_series.py --power-meter power_meter,cam --num 3600 --period 1
"""

from typing import Annotated, Any

from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.capabilities import ShutterControl
from rdaq_ophyd.plans import time_series
from rdaq_ophyd.startup import run_script


def plan(
    *power_meter: Readable[Any],
    num: Annotated[int, Field(ge=1, le=10_000_000, description="number of readings, 1 to 10000000")] = 10,
    period: Annotated[
        float,
        Field(
            ge=0,
            le=86400,
            allow_inf_nan=False,
            description="time from reading to reading, s (0 to 86400)",
            json_schema_extra={"units": "s"},
        ),
    ] = 1.0,
    light: Annotated[
        ShutterControl | None, Field(description="light source whose shutter is open for the series only")
    ] = None,
) -> MsgGenerator[Any]:
    """Read detectors (the power meter unless others are named) at a fixed rhythm."""
    return (yield from time_series(*power_meter, num=num, period=period, light=light))


if __name__ == "__main__":
    raise SystemExit(run_script(plan))
