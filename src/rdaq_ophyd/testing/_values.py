"""Values to write to a setting, from its type, its limits and what its command can carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from string import Formatter
from typing import Any

import pytest
from hypothesis import strategies as st

from rdaq_ophyd.signals import LineProtocol

from ._members import Setting

SIX_DIGITS = 5.001e-6
"""What is lost of a number by printing six significant digits, as C's ``%g`` does in many an instrument."""


def strategy(setting: Setting, now: Any, limits: tuple[float, float] | None) -> st.SearchStrategy[Any]:
    """What may be written. Without limits, numbers between the value now and half of it, which do no harm.

    :param now: its value.
    :param limits: lowest and highest value.
    """
    if setting.ask is not None and isinstance(setting.ask.write, Mapping):
        return st.sampled_from(list(setting.ask.write))
    datatype: Any = setting.backend.datatype
    if datatype is bool:
        return st.booleans()
    if isinstance(datatype, type) and issubclass(datatype, Enum):
        return st.sampled_from(list(datatype))
    if datatype not in (int, float):
        pytest.fail(f"{setting.path}: give `values` for its type, {datatype}, or a reason in `skip`")
    if limits is None and not now:
        pytest.fail(f"{setting.path}: is 0 and has no limits: declare limits, or give `values`")
    low, high = limits or sorted((now, now / 2))
    if datatype is int:
        return st.integers(math.ceil(low), math.floor(high))
    return st.floats(low, high).map(lambda value: carried(setting, value)).filter(lambda value: low <= value <= high)


def carried(setting: Setting, value: float) -> float:
    """What is left of a number in the text of its command; all of it where the driver's own code writes it."""
    template = "" if setting.ask is None else setting.ask.write
    specs = [spec for _, field, spec, _ in Formatter().parse(str(template)) if field == "value"]
    try:
        return float(format(value, specs[0] or "")) if specs else value
    except ValueError:
        return value  # not a decimal number on the wire: the driver's own code decides


def same(setting: Setting, one: Any, other: Any) -> bool:
    """Whether what was read is what was written, as far as the command and the reply can carry it."""
    if isinstance(one, float) and isinstance(other, float):
        precision = setting.backend.precision
        step = 0.5 * 10.0**-precision if precision is not None else 0.0
        return math.isclose(one, other, rel_tol=SIX_DIGITS, abs_tol=max(step, 1e-9))
    return bool(one == other)


def outside(setting: Setting, limits: tuple[float, float]) -> list[float | int]:
    """Just beyond the limits, and far beyond."""
    low, high = limits
    if setting.backend.datatype is int:
        return [math.ceil(low) - 1, math.floor(high) + 1, math.floor(high) + 10**6]
    return [math.nextafter(low, -math.inf), math.nextafter(high, math.inf), high + 1e6 * (1 + abs(high))]


SECOND = "RDAQ"
"""What a text tries to have taken for a command of its own."""


def more_than_one(protocol: LineProtocol) -> list[str]:
    """Texts that would be more than a part of one command."""
    return [
        f"A{mark}{SECOND}" for mark in dict.fromkeys([protocol.command_end, "\n", "\r", *protocol.separators]) if mark
    ]


NOT_FINITE = (math.nan, math.inf, -math.inf)
