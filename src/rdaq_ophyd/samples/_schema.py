"""What samples on their way to those who look on are: packed rows, described once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ._format import Calibration
from ._records import CardRecord


@dataclass(frozen=True)
class SampleColumn:
    """One value of each row.

    :param name: of the channel.
    :param dtype: little-endian, as NumPy writes it: ``<f4``.
    :param units: of the values.
    :param calibration: that they were multiplied with, from ``measured_units`` on; None: as they were measured.
    """

    name: str
    dtype: str
    units: str
    calibration: Calibration | None = None
    measured_units: str = ""


@dataclass(frozen=True)
class SampleSchema:
    """The rows of one device, one a sample, without padding.

    :param device: its name.
    :param rate: samples a second within a shot.
    :param columns: in the order in which they stand in a row.
    :param number: another one for each that is different.
    """

    device: str
    rate: float
    columns: tuple[SampleColumn, ...]
    number: int = field(default=0, compare=False)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of a row: a structure with a field for each column."""
        return np.dtype([(column.name, column.dtype) for column in self.columns])


def card_schema(record: CardRecord) -> SampleSchema:
    """The rows of a card: a value of each channel, as its file has them."""
    return SampleSchema(
        record.name,
        record.rate,
        tuple(
            SampleColumn(
                each.channel.name,
                record.form.dtype_numpy,
                each.units,
                each.calibration if each.calibration != Calibration() else None,
                each.channel.units,
            )
            for each in record.channels
        ),
    )
