"""Units that an ESP300 axis can be configured for (command ``SN``)."""

from __future__ import annotations

from typing import NamedTuple

from ophyd_async.core import StrictEnum


class AxisUnits(StrictEnum):
    """The unit in which an axis counts: its positions, and per second its velocity."""

    COUNT = "count"
    """Of the encoder."""
    STEP = "step"
    """Of the motor."""
    MILLIMETRE = "mm"
    MICROMETRE = "um"
    INCH = "in"
    MILLI_INCH = "mil"
    MICRO_INCH = "uin"
    DEGREE = "deg"
    GRADIAN = "grad"
    RADIAN = "rad"
    MILLIRADIAN = "mrad"
    MICRORADIAN = "urad"


class AxisUnit(NamedTuple):
    """A unit of position.

    :param unit: as recorded with the data.
    :param precision: digits after the point to show.
    :param tolerance: how far from its target an axis may stand after a move that succeeded, in this unit; about
        10 µm or 0.01°, well above the following error of a tuned stage and well below any move worth making.
    :param size: in millimetres or degrees; 0.0 where that depends on the stage.
    """

    unit: AxisUnits
    precision: int
    tolerance: float
    size: float

    @property
    def symbol(self) -> str:
        """As recorded with the data."""
        return str(self.unit.value)


UNITS = {
    0: AxisUnit(AxisUnits.COUNT, 0, 10, 0.0),
    1: AxisUnit(AxisUnits.STEP, 0, 10, 0.0),
    2: AxisUnit(AxisUnits.MILLIMETRE, 4, 0.01, 1.0),
    3: AxisUnit(AxisUnits.MICROMETRE, 1, 10, 1e-3),
    4: AxisUnit(AxisUnits.INCH, 5, 4e-4, 25.4),
    5: AxisUnit(AxisUnits.MILLI_INCH, 2, 0.4, 25.4e-3),
    6: AxisUnit(AxisUnits.MICRO_INCH, 0, 400, 25.4e-6),
    7: AxisUnit(AxisUnits.DEGREE, 4, 0.01, 1.0),
    8: AxisUnit(AxisUnits.GRADIAN, 4, 0.011, 0.9),
    9: AxisUnit(AxisUnits.RADIAN, 6, 1.7e-4, 57.29577951308232),
    10: AxisUnit(AxisUnits.MILLIRADIAN, 3, 0.17, 0.05729577951308232),
    11: AxisUnit(AxisUnits.MICRORADIAN, 0, 170, 5.729577951308232e-05),
}
"""By the code that ``SN?`` answers."""
CODES = {unit.unit: code for code, unit in UNITS.items()}
"""What ``SN`` takes for each unit."""
LENGTHS, ANGLES = range(2, 7), range(7, 12)


def ratio(old: int, new: int) -> float | None:
    """How many of the unit with code ``new`` make one of ``old``; None where that depends on the stage."""
    if old == new:
        return 1.0
    for family in (LENGTHS, ANGLES):
        if old in family and new in family:
            return UNITS[old].size / UNITS[new].size
    return None
