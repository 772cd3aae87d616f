"""Fly scan: a stage moves at constant velocity while a camera takes frames, each with the place where it was taken.

python plans/fly_scan.py --profile sim --light laser --start 0 --stop 1 --num 20 --rate 10
rdaq run plans/fly_scan.py --axis y
"""

from typing import Annotated, Any

from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.capabilities import ShutterControl, TimedDetector, TrackedAxis
from rdaq_ophyd.plans import fly_scan
from rdaq_ophyd.startup import run_script

Position = Annotated[
    float, Field(allow_inf_nan=False, description="in x's units", json_schema_extra={"position_of": "x"})
]


def plan(
    *cam: TimedDetector,
    x: TrackedAxis,
    start: Position = 0.0,
    stop: Position = 1.0,
    num: Annotated[int, Field(ge=2, le=1_000_000, description="frames, 2 to 1000000")] = 20,
    rate: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False, description="frames a second")] = 10.0,
    exposure: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False, description="s, below 1/rate")] = 0.01,
    light: ShutterControl | None = None,
) -> MsgGenerator[Any]:
    """Fly an axis past detectors (the camera unless others are named), each frame with the position of the axis.

    From ``start`` to ``stop`` its velocity is constant.
    """
    return (
        yield from fly_scan(*cam, axis=x, start=start, stop=stop, num=num, rate=rate, exposure=exposure, light=light)
    )


if __name__ == "__main__":
    raise SystemExit(run_script(plan))
