"""Knife-edge scan: a blade on a stage cuts a beam before a power meter; the cut gives the beam's radius."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from ._axes import enable
from ._events import Events
from ._fits import KnifeEdge, beam_radius
from ._light import Source
from ._require import metric_of, require_range, require_reachable
from ._scan import Settle, scan, step
from ._units import position_of

__all__ = ["KnifeEdge", "beam_radius", "knife_edge_scan"]


def knife_edge_scan(
    stage: Movable[float],
    power_meter: Readable[Any],
    start: Annotated[
        float,
        Field(
            allow_inf_nan=False, description="first blade position, stage units", json_schema_extra=position_of("stage")
        ),
    ] = -2.0,
    stop: Annotated[
        float,
        Field(
            allow_inf_nan=False, description="last blade position, stage units", json_schema_extra=position_of("stage")
        ),
    ] = 2.0,
    num: Annotated[int, Field(ge=5, le=100_000, description="number of points, 5 to 100000")] = 41,
    settle: Settle = 0.0,
    light: Source = None,
) -> MsgGenerator[KnifeEdge | None]:
    """Scan a blade through the beam and read the power at each position.

    Switches the stage's motor on. One event a point in the stream ``primary``, the fit in the stream ``fit``.
    Returns centre and 1/e² radius of the beam (None without an edge). Saturated and over-range points are left
    out of the fit; where fewer than five or half of all are left there is none.

    :raises LimitError: a position that the stage does not allow, ``stop`` not above ``start``, too few points.
    """
    require_range("blade", start, stop, num, 5)
    metric = metric_of(power_meter)
    yield from require_reachable(stage, start, stop)
    yield from enable(stage)

    def points(_: Events) -> MsgGenerator[None]:
        for position in np.linspace(start, stop, num):
            yield from step([power_meter], [(stage, float(position))], settle)

    def find(events: Events) -> KnifeEdge | None:
        measured = events.trusted([metric_of(stage), metric], 5)
        return None if measured is None else beam_radius(*measured)

    return (
        yield from scan(
            "knife_edge_scan", [power_meter], [stage], num, points, find, {"x": stage, "p": power_meter}, light
        )
    )
