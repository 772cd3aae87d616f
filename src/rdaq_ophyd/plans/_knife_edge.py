"""Knife-edge scan: a blade on a stage cuts a beam before a power meter; the cut gives the beam's radius."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.protocols import HasHints, Movable, Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from ._axes import enable

__all__ = ["KnifeEdge", "beam_radius", "knife_edge_scan"]

#: Between 10 % and 90 % of the power, a Gaussian beam's knife-edge curve runs over 1.2816 of its 1/e² radius:
#: P(x) = (1 + erf(√2 x / w)) / 2 and erf⁻¹(0.8) = 0.9062.
WIDTH_10_90 = 2 * 0.90619380 / np.sqrt(2)


@dataclass(frozen=True)
class KnifeEdge:
    """What a knife-edge scan found.

    :ivar center: blade position at half of the power, in the stage's units.
    :ivar radius: 1/e² radius of the beam, in the stage's units.
    """

    center: float
    radius: float


def beam_radius(position: Sequence[float], power: Sequence[float]) -> KnifeEdge | None:
    """Centre and 1/e² radius from a knife-edge curve, by where it crosses 10, 50 and 90 % of its range.

    :param position: blade positions, shape (n,), ascending or descending.
    :param power: power at each, shape (n,); the curve may rise or fall.
    :return: None when the curve has no edge in it (flat, or fewer than three points).
    """
    x, p = np.asarray(position, float), np.asarray(power, float)
    if len(x) < 3 or np.ptp(p) == 0:
        return None
    level = (p - p.min()) / np.ptp(p)
    if level[0] > level[-1]:
        x, level = x[::-1], level[::-1]
    rising = np.maximum.accumulate(level)  # noise must not make a crossing ambiguous
    x10, x50, x90 = np.interp([0.1, 0.5, 0.9], rising, x)
    return KnifeEdge(float(x50), float(abs(x90 - x10) / WIDTH_10_90))


def knife_edge_scan(
    stage: Movable[float],
    power_meter: Readable[Any],
    start: Annotated[float, Field(allow_inf_nan=False, description="first blade position, stage units")] = -2.0,
    stop: Annotated[float, Field(allow_inf_nan=False, description="last blade position, stage units")] = 2.0,
    num: Annotated[int, Field(ge=3, le=100_000, description="number of points, 3 to 100000")] = 41,
) -> MsgGenerator[KnifeEdge | None]:
    """Scan a blade through the beam and read the power at each position.

    Switches the stage's motor on. One event a point in the stream ``primary``.
    Returns centre and 1/e² radius of the beam (None without an edge).
    """
    position: list[float] = []
    power: list[float] = []

    def note(devices: Sequence[Any], name: str = "primary") -> MsgGenerator[Any]:
        readings = yield from bps.trigger_and_read(devices, name=name)
        position.append(_hinted(readings, stage))
        power.append(_hinted(readings, power_meter))
        return readings

    def per_step(detectors: Any, step: Any, pos_cache: Any, _take_reading: Any = None) -> MsgGenerator[None]:
        yield from bps.one_nd_step(detectors, step, pos_cache, take_reading=note)

    yield from enable(stage)
    yield from bp.scan([power_meter], stage, start, stop, num, per_step=per_step, md={"plan_name": "knife_edge_scan"})
    return beam_radius(position, power)


def _hinted(readings: dict[str, Any], device: Any) -> float:
    """The reading that a device declares as its own (``hints``), else the one of its name."""
    fields = device.hints.get("fields", []) if isinstance(device, HasHints) else []
    value: float = readings[next(iter(fields), device.name)]["value"]
    return value
