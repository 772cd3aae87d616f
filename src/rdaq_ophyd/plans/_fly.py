"""Fly scans: an axis moves at constant velocity while detectors take data at their own pace."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from typing import Annotated, Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import FailedStatus, MsgGenerator
from event_model import DataKey, PartialEventPage
from numpy.typing import NDArray
from ophyd_async.core import FlyMotorInfo, TriggerInfo
from pydantic import Field

from rdaq_ophyd.capabilities import TimedDetector, TrackedAxis
from rdaq_ophyd.errors import LimitError, RdaqError

from ._axes import enable
from ._light import Source, lit
from ._require import require_reachable

__all__ = ["fly_scan"]

#: Seconds that starting the detectors takes at most once the axis has its velocity; as many after the last exposure.
MARGIN = 0.25


Rate = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False, description="exposures a second, to 10000")]
Exposure = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False, description="exposure, s, below 1/rate")]


class AxisAt:
    """Where an axis was at each exposure of a detector, as a stream: an event for each, in their order.

    The key ``<axis>`` is the position, on a straight line between the two samples around the middle of the exposure;
    ``<axis>-measured`` is false where the exposure was before the first sample or after the last one, whose position it
    then is; ``<detector>-time`` is the middle of the exposure.
    """

    parent = None

    def __init__(self, axis: TrackedAxis, detector: TimedDetector) -> None:
        self.axis, self.detector = axis, detector
        self.name = f"{axis.name}_at_{detector.name}"
        self.times: list[float] = []

    async def describe_collect(self) -> dict[str, DataKey]:
        """Position in the unit of the axis, whether it was measured, and time in s since 1970."""
        described: Any = self.axis.describe_collect()
        keys: dict[str, DataKey] = described if isinstance(described, dict) else await described
        position = keys[self.axis.name].copy()
        source = position["source"]
        return {
            self.axis.name: position,
            f"{self.axis.name}-measured": DataKey(source=source, dtype="boolean", shape=[]),
            f"{self.detector.name}-time": DataKey(
                source=f"{self.detector.name}.exposure_times", dtype="number", shape=[], units="s", dtype_numpy="<f8"
            ),
        }

    def collect_pages(self) -> Iterator[PartialEventPage]:
        """Those that were not collected yet, as one page."""
        times = self.detector.exposure_times[len(self.times) :]
        if not len(times):
            return
        self.times += times.tolist()
        places, measured = self.axis.positions.nearest(times)
        stamps = times.tolist()
        data = {
            self.axis.name: places.tolist(),
            f"{self.axis.name}-measured": measured.tolist(),
            f"{self.detector.name}-time": stamps,
        }
        yield PartialEventPage(time=stamps, data=data, timestamps=dict.fromkeys(data, stamps))


def fly_scan(
    *detectors: TimedDetector,
    axis: TrackedAxis,
    start: Annotated[float, Field(allow_inf_nan=False, description="where the velocity is constant, axis units")] = 0.0,
    stop: Annotated[float, Field(allow_inf_nan=False, description="where it is no longer, axis units")] = 1.0,
    num: Annotated[int, Field(ge=2, le=1_000_000, description="exposures of each detector, 2 to 1000000")] = 20,
    rate: Annotated[
        float, Field(gt=0, le=10_000, allow_inf_nan=False, description="exposures a second, to 10000")
    ] = 10.0,
    exposure: Annotated[
        float, Field(gt=0, le=3600, allow_inf_nan=False, description="exposure, s, below 1/rate")
    ] = 0.01,
    light: Source = None,
) -> MsgGenerator[NDArray[np.float64]]:
    """Fly an axis from ``start`` to ``stop`` while detectors take ``num`` exposures at ``rate``.

    The exposures begin when the axis has its velocity, and lie between ``start`` and ``stop``. Streams: ``primary`` for
    the first detector, the name of each further one; ``flight``, the positions as they were sampled; and
    ``<axis>_at_<detector>``, where the axis was at each exposure. Switches the axis's motor on.

    A detector that cannot keep the rate is refused before the light comes on and anything moves. A pause stops the axis
    and the detectors, and the flight is flown again after the resume. What was taken of a flight that was aborted is
    kept and documented.

    :return: where the axis was at each exposure of the first detector, in axis units, shape (num,).
    :raises LimitError: the exposure does not fit the rate, a detector does not reach the rate, start and stop are the
        same, or the axis refuses the move.
    :raises RdaqError: no detector.
    """
    if not detectors:
        raise RdaqError("a fly scan with nothing to look", hint="give one detector or more")
    for what, value in (("start", start), ("stop", stop), ("rate", rate), ("exposure", exposure)):
        if not math.isfinite(value) or (what in ("rate", "exposure") and value <= 0):
            more = " above zero" if what in ("rate", "exposure") else ""
            raise LimitError(f"fly scan: {what} = {value}", hint=f"give a finite number{more}")
    if num < 2:
        raise LimitError(f"fly scan: {num} exposures", hint="give 2 or more")
    if exposure >= 1 / rate:
        raise LimitError(f"an exposure of {exposure:g} s at {rate:g} a second", hint=f"give less than {1 / rate:g} s")
    move = FlyMotorInfo(start_position=start, end_position=stop, time_for_move=num / rate + 2 * MARGIN)
    info = TriggerInfo(number_of_events=num, livetime=exposure, deadtime=1 / rate - exposure)
    names = ["primary", *(detector.name for detector in detectors[1:])]
    places = [AxisAt(axis, detector) for detector in detectors]
    streams = [*zip(names, detectors, strict=True), ("flight", axis), *((at.name, at) for at in places)]
    md = {
        "plan_name": "fly_scan",
        "detectors": [d.name for d in detectors],
        "motors": [axis.name],
        "num_points": num,
        "hints": {"dimensions": [(("time",), "primary")]},  # tables and plots would look for the axis in that stream
        "plan_args": {"start": start, "stop": stop, "num": num, "rate": rate, "exposure": exposure},
    }

    @bpp.stage_decorator([*detectors, axis])
    def staged() -> MsgGenerator[None]:
        yield from _refuse(detectors, info)
        yield from enable(axis)
        yield from lit(light, run())

    @bpp.run_decorator(md=md)
    def run() -> Generator[Any, Any, None]:
        for name, device in streams:
            yield from bps.declare_stream(device, name=name, collect=True)
        yield from bpp.finalize_wrapper(_fly(detectors, axis, info, move), _collect(streams))

    yield from require_reachable(axis, start, stop)
    yield from staged()
    found, _ = axis.positions.nearest(places[0].times)
    return found


def _refuse(detectors: Sequence[TimedDetector], info: TriggerInfo) -> MsgGenerator[None]:
    """Prepare the detectors, so that what one of them cannot do ends the plan here, with its own words."""
    try:
        yield from _prepare(detectors, info)
    except FailedStatus as failure:
        if isinstance(failure.__cause__, RdaqError):
            raise failure.__cause__ from None
        raise


def _prepare(detectors: Sequence[TimedDetector], info: TriggerInfo) -> MsgGenerator[None]:
    for detector in detectors:
        yield from bps.prepare(detector, info, group="prepare")
    yield from bps.wait("prepare")


def _fly(
    detectors: Sequence[TimedDetector], axis: TrackedAxis, info: TriggerInfo, move: FlyMotorInfo
) -> MsgGenerator[None]:
    yield from bps.checkpoint()  # a pause flies again from here
    yield from _prepare(detectors, info)
    yield from bps.prepare(axis, move, wait=True)
    yield from bps.kickoff(axis, wait=True)
    for detector in detectors:
        yield from bps.kickoff(detector, group="kickoff")
    yield from bps.wait("kickoff")
    for flyer in (*detectors, axis):
        yield from bps.complete(flyer, group="complete")
    yield from bps.wait("complete")
    yield from bps.checkpoint()


def _collect(streams: Sequence[tuple[str, Any]]) -> MsgGenerator[None]:
    for name, device in streams:
        yield from bps.collect(device, name=name)
