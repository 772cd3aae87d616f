"""What an analog input card measures: channels, ranges, couplings, how its sampling begins, and blocks of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from ophyd_async.core import StrictEnum

from rdaq_ophyd.errors import LimitError


class Coupling(StrictEnum):
    """What is between the connector and the converter."""

    DC = "DC"
    AC = "AC"
    GROUND = "ground"
    """The input is connected to ground inside the card: what is measured is its own offset."""


class StartTrigger(StrEnum):
    """What makes an armed card sample."""

    INTERNAL = "internal"
    """It begins by itself as soon as it is armed."""
    SOFTWARE = "software"
    """It waits for :meth:`AnalogDriver.fire`, so that the host knows when sampling began."""
    EXTERNAL = "external"
    """An edge at its trigger input begins one shot of samples, the next edge the next shot."""


@dataclass(frozen=True, slots=True)
class InputRange:
    """What an input can measure, in the card's units, both ends included."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class CardIdentity:
    """Who a card is."""

    vendor: str
    model: str
    serial: str


@dataclass(frozen=True, slots=True)
class Channel:
    """One input as it is set now. What the card delivers, times ``scale``, plus ``offset``, is the value in ``units``.

    :param name: as its user calls it: letters, digits, underscores.
    :param units: of the card, usually ``V``.
    :param scale: units for one count.
    :param offset: units at 0 counts.
    :param input_range: chosen of ``ranges``; None where there is nothing to choose.
    :param coupling: chosen of ``couplings``; None where there is nothing to choose.
    """

    name: str
    units: str
    scale: float
    offset: float
    input_range: InputRange | None = None
    coupling: Coupling | None = None
    ranges: tuple[InputRange, ...] = ()
    couplings: tuple[Coupling, ...] = ()


@dataclass(frozen=True, slots=True)
class Calibration:
    """From what the card measures to what its user wants to know: ``measured · scale + offset``.

    :param units: of the result; empty for the card's own.
    :param scale: units for one unit of the card, such as W/V of an amplified photodiode.
    :param offset: in ``units``.
    :raises LimitError: a number is not finite, or the scale is 0.
    """

    units: str = ""
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and math.isfinite(self.offset)) or self.scale == 0:
            raise LimitError(
                f"a calibration with scale {self.scale} and offset {self.offset}",
                hint="give finite numbers, and a scale other than 0",
            )


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """The blocks of one file.

    :param channels: their names, in the card's order.
    :param samples: of each channel in a block.
    :param dtype_numpy: of a value: ``<f4`` or ``<f8``.
    """

    channels: tuple[str, ...]
    samples: int
    dtype_numpy: str

    @property
    def shape(self) -> tuple[int, int]:
        """Channels, samples."""
        return (len(self.channels), self.samples)

    @property
    def nbytes(self) -> int:
        """Bytes of a block's values."""
        return len(self.channels) * self.samples * int(self.dtype_numpy[-1])
