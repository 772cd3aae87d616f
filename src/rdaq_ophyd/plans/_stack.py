"""Image stacks: a camera over the positions of a stage, or frame after frame at the camera's own pace."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.protocols import Movable
from bluesky.utils import FailedStatus, MsgGenerator
from ophyd_async.core import TriggerInfo
from pydantic import Field

from rdaq_ophyd.frames import Camera

from ._axes import enable
from ._light import Source, lit
from ._units import SECONDS, position_of

__all__ = ["fly_stack", "image_stack"]

Exposure = Annotated[
    float,
    Field(gt=0, le=3600, allow_inf_nan=False, description="exposure, s (above 0, to 3600)", json_schema_extra=SECONDS),
]
Count = Annotated[int, Field(ge=1, le=1_000_000, description="number of frames, 1 to 1000000")]


def image_stack(
    cam: Camera,
    stage: Movable[float],
    start: Annotated[
        float,
        Field(allow_inf_nan=False, description="first position, stage units", json_schema_extra=position_of("stage")),
    ] = -1.0,
    stop: Annotated[
        float,
        Field(allow_inf_nan=False, description="last position, stage units", json_schema_extra=position_of("stage")),
    ] = 1.0,
    num: Count = 11,
    exposure: Exposure = 0.01,
    light: Source = None,
) -> MsgGenerator[Any]:
    """Take one frame at each of ``num`` positions of a stage, into one file. Switches the stage's motor on."""

    yield from enable(stage)
    yield from bps.mv(cam.exposure, exposure)
    checks = yield from bps.wait_for([lambda: cam.check_room(num)])  # before the first frame, not at the last
    for check in checks:
        check.result()  # the RunEngine itself does not look whether what it waited for has failed
    stack = bp.scan([cam], stage, start, stop, num, md={"plan_name": "image_stack"})
    return (yield from lit(light, stack))


def fly_stack(
    cam: Camera,
    num: Count = 50,
    exposure: Exposure = 0.01,
    light: Source = None,
) -> MsgGenerator[Any]:
    """Take ``num`` frames one after another, as fast as exposure and camera allow, into one file."""

    @bpp.stage_decorator([cam])
    @bpp.run_decorator(md={"plan_name": "fly_stack", "detectors": [cam.name], "num_points": num})
    def stack() -> Generator[Any, Any, None]:
        yield from bps.prepare(cam, TriggerInfo(number_of_events=num, livetime=exposure), wait=True)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        flight = bps.collect_while_completing([cam], [cam], flush_period=0.2, stream_name="primary")
        yield from bpp.contingency_wrapper(flight, except_plan=rest)

    def rest(error: Exception) -> Generator[Any, Any, None]:
        if isinstance(error, FailedStatus):  # frames that came before the fault are in the file: tell of them
            yield from bps.collect(cam, name="primary")

    return (yield from lit(light, stack()))
