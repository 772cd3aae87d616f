"""Units that an ESP300 axis can be configured for (command ``SN``)."""

from __future__ import annotations

from typing import NamedTuple


class AxisUnit(NamedTuple):
    """A unit of position.

    :param symbol: as recorded with the data.
    :param precision: digits after the point to show.
    :param tolerance: how far from its target an axis may stand after a move that succeeded, in this unit; about
        10 µm or 0.01°, well above the following error of a tuned stage and well below any move worth making.
    """

    symbol: str
    precision: int
    tolerance: float


UNITS = {
    0: AxisUnit("count", 0, 10),
    1: AxisUnit("step", 0, 10),
    2: AxisUnit("mm", 4, 0.01),
    3: AxisUnit("um", 1, 10),
    4: AxisUnit("in", 5, 4e-4),
    5: AxisUnit("mil", 2, 0.4),
    6: AxisUnit("uin", 0, 400),
    7: AxisUnit("deg", 4, 0.01),
    8: AxisUnit("grad", 4, 0.011),
    9: AxisUnit("rad", 6, 1.7e-4),
    10: AxisUnit("mrad", 3, 0.17),
    11: AxisUnit("urad", 0, 170),
}
"""By the code that ``SN?`` answers."""
