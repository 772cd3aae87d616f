"""Fly scans: an axis moves at constant velocity while detectors take data at their own pace."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import FailedStatus, MsgGenerator, short_uid
from numpy.typing import NDArray
from ophyd_async.core import FlyMotorInfo, TriggerInfo
from pydantic import Field

from rdaq_ophyd.capabilities import TimedDetector, TrackedAxis
from rdaq_ophyd.errors import LimitError, RdaqError

from ._axes import enable
from ._axis_at import AxisAt
from ._legs import Cut
from ._light import Source, lit
from ._require import require_reachable
from ._units import HERTZ, SECONDS, position_of

__all__ = ["fly_scan"]

#: Seconds that starting the detectors takes at most once the axis has its velocity; as many after the last exposure.
MARGIN = 0.25
#: How often documents tell of a flight that goes on, s.
FLUSH = 0.5


Rate = Annotated[
    float,
    Field(gt=0, le=10_000, allow_inf_nan=False, description="exposures a second, to 10000", json_schema_extra=HERTZ),
]
Exposure = Annotated[
    float, Field(gt=0, le=3600, allow_inf_nan=False, description="exposure, s, below 1/rate", json_schema_extra=SECONDS)
]


@dataclass(frozen=True)
class Course:
    """The exposures along the axis, and what is asked for when the first of them were taken already."""

    start: float
    stop: float
    num: int
    rate: float
    exposure: float

    def move(self, taken: int) -> FlyMotorInfo:
        """Of the axis, at the same velocity whatever was taken."""
        seconds = self.num / self.rate + 2 * MARGIN
        done = taken / self.rate
        start = self.start + (self.stop - self.start) * done / seconds
        return FlyMotorInfo(start_position=start, end_position=self.stop, time_for_move=seconds - done)

    def info(self, taken: int) -> TriggerInfo:
        """Of a detector."""
        deadtime = 1 / self.rate - self.exposure
        return TriggerInfo(number_of_events=self.num - taken, livetime=self.exposure, deadtime=deadtime)


def fly_scan(
    *detectors: TimedDetector,
    axis: TrackedAxis,
    start: Annotated[
        float,
        Field(
            allow_inf_nan=False,
            description="where the velocity is constant, axis units",
            json_schema_extra=position_of("axis"),
        ),
    ] = 0.0,
    stop: Annotated[
        float,
        Field(
            allow_inf_nan=False, description="where it is no longer, axis units", json_schema_extra=position_of("axis")
        ),
    ] = 1.0,
    num: Annotated[int, Field(ge=2, le=1_000_000, description="exposures of each detector, 2 to 1000000")] = 20,
    rate: Annotated[
        float,
        Field(
            gt=0, le=10_000, allow_inf_nan=False, description="exposures a second, to 10000", json_schema_extra=HERTZ
        ),
    ] = 10.0,
    exposure: Annotated[
        float,
        Field(gt=0, le=3600, allow_inf_nan=False, description="exposure, s, below 1/rate", json_schema_extra=SECONDS),
    ] = 0.01,
    light: Source = None,
) -> MsgGenerator[NDArray[np.float64]]:
    """Fly an axis from ``start`` to ``stop`` while detectors take ``num`` exposures at ``rate``.

    The exposures begin when the axis has its velocity, and lie between ``start`` and ``stop``. Streams: ``primary`` for
    the first detector, the name of each further one; ``flight``, the positions as they were sampled; and
    ``<axis>_at_<detector>``, where the axis was at each exposure. Switches the axis's motor on.

    A detector that cannot keep the rate is refused before the light comes on and anything moves. A pause stops the axis
    and the detectors. What was taken by then stays, and after the resume the axis flies again from about there, at the
    same velocity, for what is left. What was taken of a flight that was aborted or stopped, also in a pause, is kept
    and documented. Documents tell of the flight twice a second, while it goes on.

    :return: where the axis was at each exposure of the first detector, in axis units, shape (num,).
    :raises LimitError: the exposure does not fit the rate, a detector does not reach the rate, start and stop are the
        same, or the axis refuses the move.
    :raises RdaqError: no detector.
    """
    _check(detectors, start, stop, num, rate, exposure)
    course = Course(start, stop, num, rate, exposure)
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

    def collect(flying: bool = False) -> MsgGenerator[None]:
        for at in places:
            at.flying = flying
        for name, device in streams:
            yield from bps.collect(device, name=name)

    @bpp.stage_decorator([*detectors, axis])
    def staged() -> MsgGenerator[None]:
        yield from _refuse(detectors, course)
        yield from enable(axis)
        yield from lit(light, run())

    @bpp.run_decorator(md=md)
    def run() -> Generator[Any, Any, None]:
        for name, device in streams:
            yield from bps.declare_stream(device, name=name, collect=True)
        yield from bpp.finalize_wrapper(_fly(detectors, axis, course, collect), collect())

    yield from require_reachable(axis, start, stop)
    yield from staged()
    return np.array(places[0].positions)


def _check(detectors: Sequence[Any], start: float, stop: float, num: int, rate: float, exposure: float) -> None:
    if not detectors:
        raise RdaqError("a fly scan with nothing to look", hint="give one detector or more")
    for what, value in (("start", start), ("stop", stop), ("rate", rate), ("exposure", exposure)):
        if not math.isfinite(value) or (what in ("rate", "exposure") and value <= 0):
            more = " above zero" if what in ("rate", "exposure") else ""
            raise LimitError(f"fly scan: {what} = {value}", hint=f"give a finite number{more}")
    if start == stop:
        raise LimitError(f"fly scan: from {start:g} to {stop:g}", hint="give two different positions")
    if num < 2:
        raise LimitError(f"fly scan: {num} exposures", hint="give 2 or more")
    if exposure >= 1 / rate:
        raise LimitError(f"an exposure of {exposure:g} s at {rate:g} a second", hint=f"give less than {1 / rate:g} s")


def _refuse(detectors: Sequence[TimedDetector], course: Course) -> MsgGenerator[None]:
    """Prepare the detectors, so that what one of them cannot do ends the plan here, with its own words."""
    try:
        yield from _prepare(dict.fromkeys(detectors, 0), course)
    except FailedStatus as failure:
        if isinstance(failure.__cause__, RdaqError):
            raise failure.__cause__ from None
        raise


def _fly(
    detectors: Sequence[TimedDetector],
    axis: TrackedAxis,
    course: Course,
    collect: Callable[..., MsgGenerator[None]],
) -> MsgGenerator[None]:
    cut = Cut()
    yield from cut.watch()
    begun = whole = False
    while True:
        yield from bps.checkpoint()  # a deferred pause comes between two legs
        cut.happened = False
        if begun:
            yield from collect()
            if cut.happened:
                continue
        taken = {detector: len(detector.exposure_times) for detector in detectors}
        if whole or min(taken.values()) >= course.num:
            break
        begun = True
        whole = yield from cut.leg(_leg(taken, axis, course, collect))
    cut.watching = False


def _leg(
    taken: Mapping[TimedDetector, int],
    axis: TrackedAxis,
    course: Course,
    collect: Callable[..., MsgGenerator[None]],
) -> MsgGenerator[None]:
    missing = {detector: number for detector, number in taken.items() if number < course.num}
    yield from _prepare(missing, course)
    yield from bps.prepare(axis, course.move(min(missing.values())), wait=True)
    yield from bps.kickoff(axis, wait=True)
    kickoff, complete = short_uid("kickoff"), short_uid("complete")  # a pause leaves those of its leg behind
    for detector in missing:
        detector.end_at_pause()
        yield from bps.kickoff(detector, group=kickoff)
    yield from bps.wait(kickoff)
    for flyer in (*missing, axis):
        yield from bps.complete(flyer, group=complete)
    while not (yield from bps.wait(complete, timeout=FLUSH, error_on_timeout=False)):
        yield from collect(flying=True)


def _prepare(taken: Mapping[TimedDetector, int], course: Course) -> MsgGenerator[None]:
    group = short_uid("prepare")
    for detector, number in taken.items():
        yield from bps.prepare(detector, course.info(number), group=group)
    yield from bps.wait(group)
