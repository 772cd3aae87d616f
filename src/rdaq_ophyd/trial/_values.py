"""Which values a signal of a declared instrument is tried with."""

from __future__ import annotations

import math
from typing import Any

from rdaq_ophyd.declaration import Signal

UNLIMITED = (-2.5, 12.0, 1.0)


def allowed(signal: Signal, limits: tuple[float, float] | None, kind: Any) -> list[Any]:
    """Values that it must take, the lowest last: what is left then disturbs others least."""
    match signal.type:
        case "bool":
            return [True, False]
        case "enum":
            return list(reversed(list(kind)))
        case "float":
            low, high = limits or (None, None)
            return list(UNLIMITED) if low is None or high is None else [high, (low + high) / 2, low]
        case "int":
            return [1, 0] if limits is None else [int(limits[1]), int(limits[0])]
        case _:
            return ["ABC"]


def outside(limits: tuple[float, float]) -> list[float]:
    """Values that it must refuse."""
    margin = max(1.0, abs(limits[1] - limits[0]))
    return [limits[0] - margin, limits[1] + margin]


NOT_FINITE = (math.nan, math.inf, -math.inf)


def alike(one: Any, other: Any, signal: Signal) -> bool:
    """Whether a value came back; numbers lose digits on the wire."""
    if signal.type == "float":
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=0.5 * 10.0 ** -(signal.precision or 3))
    return bool(one == other)
