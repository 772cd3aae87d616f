"""A document as one line of text, and back.

Lines are JSON, with the literals ``NaN``, ``Infinity`` and ``-Infinity`` where a number is not finite
(JSON has no word for them; Python's ``json`` reads them, and a reading of NaN must not come back as "nothing").
Such a line begins with a space.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from rdaq_ophyd.errors import CatalogError

type Document = dict[str, Any]

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE

# Begins a line that the slower reader must read: numbers that are not finite, integers beyond 64 bits.
_SLOW = b" "


def encode(name: str, document: Mapping[str, Any]) -> bytes:
    """``document`` as a line that ends in a newline.

    NumPy scalars and arrays become numbers and lists, dates ISO 8601 strings, paths and UUIDs strings.

    :raises CatalogError: when it holds something that no catalog could store.
    """
    try:
        line = orjson.dumps((name, document), default=plain, option=_OPTIONS)
    except TypeError:
        line = b"null"  # an integer beyond 64 bits, or something that _slowly() will name
    # orjson writes a number that is not finite as null; only then is the slower writer needed.
    if b"null" not in line:
        return line
    if line != b"null" and not _holds_non_finite(document):
        return line
    return _slowly(name, document)


def decode(line: bytes) -> tuple[str, Document]:
    """The name and the document of a line.

    :raises ValueError: when the line is no document.
    """
    content = json.loads(line) if line.startswith(_SLOW) else orjson.loads(line)
    if not (isinstance(content, list) and len(content) == 2 and isinstance(content[1], dict)):
        raise ValueError("not a pair of name and document")
    return content[0], content[1]


def _slowly(name: str, document: Mapping[str, Any]) -> bytes:
    try:
        return _SLOW + json.dumps((name, document), default=plain, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise CatalogError(
            f"a {name} document holds something that cannot be stored: {error}",
            hint="record numbers, text, lists, dicts or NumPy arrays of these",
        ) from error


def plain(value: Any) -> Any:
    """What the JSON writers do not know by themselves."""
    match value:
        case np.ndarray() | np.generic():
            return value.tolist()
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case enum.Enum():
            return value.value
        case set() | frozenset():
            return sorted(value, key=str)
        case pathlib.PurePath() | uuid.UUID():
            return str(value)
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case Mapping():
            return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def _holds_non_finite(value: Any) -> bool:
    match value:
        case float():
            return not math.isfinite(value)
        case str() | int() | None:
            return False
        case np.ndarray():
            return value.dtype.kind == "f" and not bool(np.isfinite(value).all())
        case np.floating():
            return not bool(np.isfinite(value))
        case Mapping():
            return any(map(_holds_non_finite, value.values()))
        case list() | tuple() | set() | frozenset():
            return any(map(_holds_non_finite, value))
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
