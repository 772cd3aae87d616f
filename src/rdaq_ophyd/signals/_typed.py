"""What is set, as a value of the type that the signal has; anything else is refused before a byte is sent."""

from __future__ import annotations

import math
from decimal import Decimal
from enum import Enum
from numbers import Real
from typing import Any

import numpy as np
from ophyd_async.core import SubsetEnum

from rdaq_ophyd.errors import LimitError

WHOLE = "allowed: a whole number"
KINDS: dict[Any, str] = {float: "a number", int: "a whole number", bool: "True or False", str: "a text"}


def typed(name: str, value: Any, datatype: Any) -> Any:
    """``value`` as one of ``datatype``. NumPy's scalars count as Python's, and a number as the one that it equals.
    A bool is True or False alone: what switches light on is not meant by a 1.

    Arrays, tables and sequences are passed on as they are.

    :param name: of what is set, for the error.
    :raises LimitError: it is none; names the value, and what is allowed.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(datatype, type) and issubclass(datatype, Enum):
        return _member(name, value, datatype)
    if datatype not in KINDS:
        return value
    number = isinstance(value, Real | Decimal)
    if datatype is str and isinstance(value, str):
        return value
    if datatype is bool and isinstance(value, bool):
        return value
    if datatype in (float, int) and number and type(value) is not bool:
        return _float(value) if datatype is float else _int(name, value)
    raise LimitError(f"{name}: {value!r} is not {KINDS[datatype]}", hint=f"allowed: {KINDS[datatype]}")


def _member(name: str, value: Any, kind: type[Enum]) -> Any:
    try:
        return kind(value)
    except ValueError:
        if isinstance(value, str) and issubclass(kind, SubsetEnum):
            return value
    raise LimitError(f"{name}: {value!r} is not one of {', '.join(repr(member.value) for member in kind)}")


def _float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _int(name: str, number: Any) -> int:
    value = _float(number)
    if math.isfinite(value) and int(number) == number:
        return int(number)
    raise LimitError(f"{name}: {number} is not a {'whole' if math.isfinite(value) else 'finite'} number", hint=WHOLE)
