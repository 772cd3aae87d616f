"""What is looked at in a value before a byte of it is sent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from ophyd_async.core import Table

from rdaq_ophyd.errors import LimitError


def check_value(name: str, value: Any, limits: tuple[float, float] | None, units: str | None) -> None:
    """Refuse a number that is not finite, or outside its limits; in arrays and sequences, each of their numbers.

    :raises LimitError: names the signal, the value and the allowed range.
    """
    unit = f" {units}" if units else ""
    allowed = f"allowed: {limits[0]:g} to {limits[1]:g}{unit}" if limits else "a finite number is needed"
    for number in _numbers(value):
        if not math.isfinite(number):
            raise LimitError(f"{name}: {number} is not a finite number", hint=allowed)
        if limits and not limits[0] <= number <= limits[1]:
            raise LimitError(f"{name}: {number:g}{unit} is outside {limits[0]:g} to {limits[1]:g}{unit}", hint=allowed)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, bool):
        return
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        if value.size:
            # A NaN makes both NaN: two numbers stand for all.
            yield float(value.min())
            yield float(value.max())
    elif isinstance(value, Real | Decimal):
        yield _float(value)
    elif isinstance(value, Table):
        for _, column in value:
            yield from _numbers(column)
    elif isinstance(value, np.ndarray | Sequence) and not isinstance(value, str | bytes | bytearray):
        for part in value:
            yield from _numbers(part)


def _float(number: Real | Decimal) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def check_limits(what: str, limits: tuple[float, float] | None) -> tuple[float, float] | None:
    """Limits as a profile gives them: lowest and highest value, both finite.

    :param what: whose, for the error.
    :raises LimitError: they are something else.
    """
    if limits is None:
        return None
    try:
        low, high = map(float, limits)
    except (TypeError, ValueError) as error:
        raise LimitError(f"{what}: {limits!r} are no limits", hint="give (lowest, highest)") from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise LimitError(
            f"{what}: limits {low:g} to {high:g}",
            hint="give two finite numbers, the lower one first; None for no limits",
        )
    return low, high


def tighter(one: tuple[float, float] | None, other: tuple[float, float] | None) -> tuple[float, float] | None:
    """What both allow. Where they have nothing in common, a range that no value is in."""
    if one is None or other is None:
        return one or other
    return max(one[0], other[0]), min(one[1], other[1])
