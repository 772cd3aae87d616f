"""Frames from anything with an exposure time."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.capabilities import Capability, ExposureControl, ShutterControl
from rdaq_ophyd.errors import LimitError

from ._light import Source, lit
from ._require import require, require_reachable
from ._units import SECONDS

__all__ = ["expose"]

Seconds = Annotated[
    float,
    Field(gt=0, le=3600, allow_inf_nan=False, description="exposure, s (above 0, to 3600)", json_schema_extra=SECONDS),
]
Frames = Annotated[int, Field(ge=1, le=1_000_000, description="number of frames, 1 to 1000000")]


def expose(camera: ExposureControl, seconds: Seconds, frames: Frames = 1, light: Source = None) -> MsgGenerator[Any]:
    """Set the exposure time and take ``frames`` frames, an event each, as a run of its own.

    :raises RdaqError: the device has no exposure time, or cannot be triggered; names those of the rig that can.
    :raises LimitError: the exposure is not above 0 and at most 3600 s, or there is no frame to take.
    """
    for capability in (Capability.EXPOSURE_CONTROL, Capability.TRIGGERABLE, Capability.READABLE):
        require(camera, capability)
    if not 0 < seconds <= 3600:
        raise LimitError(f"exposure {seconds} s", hint="give above 0, to 3600 s")
    if frames < 1:
        raise LimitError(f"{frames} frames", hint="give 1 or more")
    return _expose(camera, seconds, frames, light)


def _expose(camera: Any, seconds: float, frames: int, light: ShutterControl | None) -> MsgGenerator[Any]:
    yield from require_reachable(camera.exposure, seconds)
    yield from bps.mv(camera.exposure, seconds)

    @bpp.stage_decorator([camera])
    @bpp.run_decorator(md={"plan_name": "expose", "detectors": [camera.name], "num_points": frames})
    def shots() -> Generator[Any, Any, None]:
        for _ in range(frames):
            yield from bps.one_shot([camera])

    return (yield from lit(light, shots()))
