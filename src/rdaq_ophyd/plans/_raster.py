"""A detector over a grid of two axes: a pinhole through a beam, a sample through a focus."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.errors import RdaqError

from ._axes import enable
from ._events import Events
from ._fits import BeamSpot, beam_spot
from ._light import Source
from ._require import metric_of, require_range, require_reachable
from ._scan import Settle, scan, step
from ._units import position_of

__all__ = ["raster"]

Across = Annotated[
    float, Field(allow_inf_nan=False, description="position, in x's units", json_schema_extra=position_of("x"))
]
Up = Annotated[
    float, Field(allow_inf_nan=False, description="position, in y's units", json_schema_extra=position_of("y"))
]
Points = Annotated[int, Field(ge=3, le=10_000, description="number of points along the axis, 3 to 10000")]


def raster(
    x: Movable[float],
    y: Movable[float],
    detector: Readable[Any],
    x_start: Across = -1.0,
    x_stop: Across = 1.0,
    x_num: Points = 11,
    y_start: Up = -1.0,
    y_stop: Up = 1.0,
    y_num: Points = 11,
    settle: Settle = 0.2,
    light: Source = None,
) -> MsgGenerator[BeamSpot | None]:
    """Read a detector over a grid, line by line, to and fro, and fit a Gaussian spot.

    Switches the motors on. One event a point in the stream ``primary``, the fit in the stream ``fit``.
    Returns the spot (None where there is none). Saturated and over-range points are left out of the fit.

    :raises LimitError: a position that an axis does not allow, a stop not above its start.
    :raises RdaqError: ``x`` and ``y`` are the same axis.
    """
    require_range("x", x_start, x_stop, x_num, 3)
    require_range("y", y_start, y_stop, y_num, 3)
    if x is y:
        raise RdaqError("x and y are the same axis", hint="give two axes")
    yield from require_reachable(x, x_start, x_stop)
    yield from require_reachable(y, y_start, y_stop)
    keys = [metric_of(x), metric_of(y), metric_of(detector)]
    yield from enable(x, y)
    line = np.linspace(x_start, x_stop, x_num)

    def points(_: Events) -> MsgGenerator[None]:
        for row, at_y in enumerate(np.linspace(y_start, y_stop, y_num)):
            for at_x in reversed(line) if row % 2 else line:
                yield from step([detector], [(y, float(at_y)), (x, float(at_x))], settle)

    def find(events: Events) -> BeamSpot | None:
        measured = events.trusted(keys, 5)
        return None if measured is None else beam_spot(*measured)

    return (
        yield from scan(
            "raster", [detector], [y, x], x_num * y_num, points, find, {"x": x, "y": y, "p": detector}, light
        )
    )
