"""Strict readings of replies, by the type of the signal: what a protocol does not allow is refused, never guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import Enum
from typing import Any

_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INT = re.compile(r"[+-]?\d+")


def parse_float(text: str) -> float:
    """A finite decimal number, such as ``+.75E-9``; no ``nan``, ``inf`` or ``1_000``.

    :raises ValueError: it is something else.
    """
    if not _FLOAT.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError("a finite decimal number")
    return value


def parse_int(text: str) -> int:
    """A decimal integer.

    :raises ValueError: it is something else.
    """
    if not _INT.fullmatch(text):
        raise ValueError("an integer")
    return int(text)


def parse_bool(text: str) -> bool:
    """``0`` or ``1``.

    :raises ValueError: it is something else.
    """
    if text not in {"0", "1"}:
        raise ValueError("0 or 1")
    return text == "1"


def parse_str(text: str) -> str:
    """Any text that is not empty.

    :raises ValueError: it is empty.
    """
    if not text:
        raise ValueError("a text that is not empty")
    return text


def parser_for(datatype: type | None, codes: dict[str, Any] | None = None) -> Callable[[str], Any]:
    """The strict reading for a signal's type; with ``codes``, exactly those texts are allowed.

    :raises TypeError: there is no strict reading for the type; give ``Ask`` a ``parse``.
    """
    if codes is not None:
        return _lookup(codes)
    plain: dict[type | None, Callable[[str], Any]] = {
        bool: parse_bool,
        int: parse_int,
        float: parse_float,
        str: parse_str,
    }
    if datatype in plain:
        return plain[datatype]
    if isinstance(datatype, type) and issubclass(datatype, Enum):
        return _lookup({str(member.value): member for member in datatype})
    raise TypeError(f"no strict reading for {datatype}: give Ask a parse function")


def _lookup(values: dict[str, Any]) -> Callable[[str], Any]:
    # "01" and "+1" are the same code as "1": instruments pad their numbers.
    numbers = {int(code): value for code, value in values.items() if _INT.fullmatch(code)}

    def parse(text: str) -> Any:
        if text in values:
            return values[text]
        if _INT.fullmatch(text) and int(text) in numbers:
            return numbers[int(text)]
        raise ValueError("one of " + ", ".join(values))

    return parse
