"""A polariser on a rotator before a power meter: Malus' law, and where the rotator's zero is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.errors import LimitError, RdaqError

from ._axes import enable
from ._calibration import keep
from ._events import Events
from ._fits import Malus, malus, vertex
from ._light import IS_THERE_LIGHT, Source
from ._require import metric_of, require_range, require_reachable
from ._scan import Settle, scan, step
from ._units import position_of

__all__ = ["RotatorZero", "calibrate_rotator", "power_vs_angle"]

Degrees = Annotated[
    float, Field(allow_inf_nan=False, description="angle, degrees", json_schema_extra=position_of("rotator"))
]
Points = Annotated[int, Field(ge=5, le=100_000, description="number of points, 5 to 100000")]
LEAST_TURN = 90.0
"""Degrees that a scan must cover: half a period of Malus' law, with its maximum or its minimum."""
FINE = 10.0
"""Degrees on each side of what Malus' law gives, for the fine scan. sin² and a parabola differ there by 1 %, evenly."""


def power_vs_angle(
    rotator: Movable[float],
    power_meter: Readable[Any],
    start: Degrees = 0.0,
    stop: Degrees = 160.0,
    num: Points = 17,
    settle: Settle = 0.2,
    light: Source = None,
) -> MsgGenerator[Malus | None]:
    """Turn a polariser, read the power at each angle, and fit Malus' law.

    Switches the rotator's motor on. One event a point in the stream ``primary``, the fit in the stream ``fit``.
    Returns the fit (None when the power does not depend on the angle). Saturated and over-range points are left out
    of it.

    :raises LimitError: an angle that the rotator does not allow, less than 90° from ``start`` to ``stop``.
    """
    _check_turn(start, stop, num)
    metric = metric_of(power_meter)
    yield from require_reachable(rotator, start, stop)
    yield from enable(rotator)

    def points(_: Events) -> MsgGenerator[None]:
        for angle in np.linspace(start, stop, num):
            yield from step([power_meter], [(rotator, float(angle))], settle)

    def find(events: Events) -> Malus | None:
        measured = events.trusted([metric_of(rotator), metric], 5)
        return None if measured is None else malus(*measured)

    return (yield from scan("power_vs_angle", [power_meter], [rotator], num, points, find, {"p": power_meter}, light))


@dataclass(frozen=True)
class RotatorZero:
    """Where a rotator has the extinction or the maximum.

    :ivar angle: degrees, as the rotator reads.
    :ivar coarse: the same from Malus' law over the whole turn.
    :ivar extinction_ratio: highest to lowest power over the whole turn.
    """

    angle: float = field(metadata={"units": "deg"})
    coarse: float = field(metadata={"units": "deg"})
    extinction_ratio: float


def calibrate_rotator(
    rotator: Movable[float],
    power_meter: Readable[Any],
    into: Movable[float] | None = None,
    find: Annotated[Literal["extinction", "maximum"], Field(description="what counts as zero")] = "extinction",
    start: Degrees = 0.0,
    stop: Degrees = 160.0,
    num: Points = 17,
    settle: Settle = 0.2,
    light: Source = None,
    why: Annotated[str, Field(description="the reason for a new zero, recorded with the run that found it")] = "",
) -> MsgGenerator[RotatorZero]:
    """Find the angle of extinction (or of maximum) by a turn and a fine scan, and go there.

    Records it in the stream ``fit``, returns it, and sets ``into`` to it where one is given, such as
    ``calibration.rotator_zero`` of the rig, with ``why`` and the run as the reason. Switches the rotator's motor on.

    :raises LimitError: an angle that the rotator does not allow, less than 90° from ``start`` to ``stop``.
    :raises RdaqError: the power does not depend on the angle as behind a polariser; ``into`` stays as it was.
    """
    _check_turn(start, stop, num)
    metric = metric_of(power_meter)
    yield from require_reachable(rotator, start, stop)
    yield from enable(rotator)
    fine = 11

    def points(events: Events) -> MsgGenerator[None]:
        for angle in np.linspace(start, stop, num):
            yield from step([power_meter], [(rotator, float(angle))], settle)
        near = _within(_coarse(events.trusted([metric_of(rotator), metric], 5), find), start, stop)
        low, high = max(start, near - FINE), min(stop, near + FINE)
        for angle in np.linspace(low, high, fine):
            yield from step([power_meter], [(rotator, float(angle))], settle)

    runs: list[str] = []

    def zero(events: Events) -> RotatorZero:
        runs.append(events.uid)
        keys = [metric_of(rotator), metric]
        rough, near = events.trusted(keys, 5, slice(num)), events.trusted(keys, 5, slice(num, None))
        turn = None if rough is None else malus(*rough)
        best = None if near is None else vertex(*near)
        if turn is None or best is None:
            raise _no_polariser(rotator)
        coarse = turn.angle_min if find == "extinction" else turn.angle_max
        return RotatorZero(best, _within(coarse, start, stop), turn.extinction_ratio)

    about = {"why": why} if why else {}
    found = yield from scan(
        "calibrate_rotator", [power_meter], [rotator], num + fine, points, zero, light=light, about=about
    )
    if found is None:  # the events of a rehearsal without an engine
        raise _no_polariser(rotator)
    yield from bps.mv(rotator, found.angle)
    if into is not None:
        reason = f"{find} found by calibrate_rotator, run {runs[0]}"
        yield from keep(into, found.angle, f"{why}; {reason}" if why else reason)
    return found


def _coarse(measured: tuple[Any, ...] | None, find: str) -> float:
    if measured is None:
        raise RdaqError("too few readings that can be trusted", hint="choose another range of the meter, or less light")
    turn = malus(*measured)
    if turn is None:
        raise RdaqError(
            "the power does not depend on the angle",
            hint=f"is the polariser in the beam, and the light polarised? {IS_THERE_LIGHT}",
        )
    return turn.angle_min if find == "extinction" else turn.angle_max


def _within(angle: float, start: float, stop: float) -> float:
    """The same angle, or half turns from it, nearest to the middle of what was scanned."""
    middle = (start + stop) / 2
    best = angle + 180 * round((middle - angle) / 180)
    return min(max(best, start), stop)


def _no_polariser(rotator: Any) -> RdaqError:
    return RdaqError(
        f"{rotator.name}: no extremum of the power within the fine scan",
        hint="look at the run's data: is the light steady, and start or stop far from the extremum?",
    )


def _check_turn(start: float, stop: float, num: int) -> None:
    require_range("angle", start, stop, num, 5)
    if stop - start < LEAST_TURN:
        raise LimitError(f"angle from {start:g} to {stop:g}°: too short a turn", hint=f"scan {LEAST_TURN:g}° or more")
