"""Search for the position of an axis at which a detector reads most (or least): focus, coupling, alignment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.errors import LimitError, RdaqError

from ._axes import enable
from ._events import Events
from ._fits import vertex
from ._light import IS_THERE_LIGHT, Source
from ._require import metric_of, require_range, require_reachable
from ._scan import Settle, scan, step
from ._units import distance_of, position_of

__all__ = ["Focus", "focus"]

Position = Annotated[
    float,
    Field(allow_inf_nan=False, description="position, in the stage's units", json_schema_extra=position_of("stage")),
]


@dataclass(frozen=True)
class Focus:
    """Where the reading is highest (or lowest).

    :ivar position: in the stage's units.
    :ivar value: the best reading, in the detector's units.
    :ivar spacing: of the last round's points, in the stage's units: how well the position is known without noise.
    :ivar points: number of readings it took.
    """

    position: float = field(metadata={"units": "x"})
    value: float = field(metadata={"units": "p"})
    spacing: float = field(metadata={"units": "x"})
    points: int


def focus(
    stage: Movable[float],
    detector: Readable[Any],
    start: Position = -1.0,
    stop: Position = 1.0,
    tolerance: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="spacing of points to end at, stage units (above 0)",
            json_schema_extra=distance_of("stage"),
        ),
    ] = 0.05,
    num: Annotated[int, Field(ge=5, le=1000, description="points of a round, 5 to 1000")] = 9,
    max_points: Annotated[int, Field(ge=5, le=100_000, description="readings at most, 5 to 100000")] = 60,
    metric: Annotated[str, Field(description="what to go by, one of the detector's hinted fields; '': the first")] = "",
    minimum: Annotated[bool, Field(description="search the lowest reading, not the highest")] = False,
    settle: Settle = 0.2,
    light: Source = None,
) -> MsgGenerator[Focus]:
    """Search the best focus coarse to fine: rounds of points, each over the best neighbourhood of the one before.

    Ends when the points lie as close as ``tolerance``, or with ``max_points``, and goes to the best position, by a
    parabola through the last round. Every round runs upwards, so that backlash is the same in all. Switches the motor
    on.

    :raises LimitError: a position that the stage does not allow, ``stop`` not above ``start``, too few points.
    :raises UnknownName: the detector does not declare ``metric``.
    :raises RdaqError: the best reading is at the end of the range, or all are the same; the stage is left there.
    """
    require_range("stage", start, stop, num, 5)
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise LimitError(f"tolerance {tolerance}", hint="give a number above 0, in the stage's units")
    if max_points < num:
        raise LimitError(f"{max_points} readings at most, {num} a round", hint="allow at least one round")
    keys = [metric_of(stage), metric_of(detector, metric)]
    yield from require_reachable(stage, start, stop)
    yield from enable(stage)
    sign = -1.0 if minimum else 1.0

    def points(events: Events) -> MsgGenerator[None]:
        low, high = start, stop
        while len(events) + num <= max_points:
            for position in np.linspace(low, high, num):
                yield from step([detector], [(stage, float(position))], settle)
            where, value = _trusted(events, keys, slice(-num, None))
            spacing = (high - low) / (num - 1)
            centre = _best(where, sign * value, stage)
            if spacing <= tolerance:
                break
            low, high = max(start, centre - 1.5 * spacing), min(stop, centre + 1.5 * spacing)

    def find(events: Events) -> Focus:
        at, reads = _trusted(events, keys, slice(-num, None))
        place = vertex(at, sign * reads)
        where, value = _trusted(events, keys, slice(None))
        best = int(np.argmax(sign * value))
        spacing = float(np.ptp(events.column(keys[0])[-num:])) / (num - 1)
        return Focus(float(where[best]) if place is None else place, float(value[best]), spacing, len(events))

    found = yield from scan("focus", [detector], [stage], max_points, points, find, {"x": stage, "p": detector}, light)
    assert found is not None
    yield from bps.mv(stage, found.position)
    return found


def _trusted(events: Events, keys: list[str], part: slice) -> tuple[Any, ...]:
    if (measured := events.trusted(keys, 5, part)) is None:
        raise RdaqError(
            f"{keys[1]}: too few readings that can be trusted", hint="choose another range or exposure, or less light"
        )
    return measured


def _best(where: Any, value: Any, stage: Any) -> float:
    """Position of the best reading of a round.

    :raises RdaqError: it is at the first round's end, or there is none.
    """
    if np.ptp(value) == 0:
        raise RdaqError(f"{stage.name}: the reading is {abs(value[0]):g} everywhere", hint=IS_THERE_LIGHT)
    best = int(np.argmax(value))
    if best in (0, len(value) - 1):
        raise RdaqError(
            f"{stage.name}: the best reading is at {where[best]:g}, the end of the range",
            hint=f"widen start and stop; the readings so far are recorded; {IS_THERE_LIGHT}",
        )
    return float(where[best])
