"""Values of plans as JSON, and back. Never pickle: what a script's process sends is not to be trusted.

A dictionary with one key that begins with ``$`` is something that JSON has no word for. Doubles keep every bit.
"""

from __future__ import annotations

import base64
import enum
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel

from rdaq_ophyd.errors import LimitError

from ._models import MODELS, fields_of, known_enums, name_of

DEEPEST = 50
"""Levels of containers in containers."""
_DTYPE = re.compile(r"[<|]?(b1|[iu][1248]|f[248]|c(8|16)|[US]\d{1,6})")
_INT64 = range(-(1 << 63), 1 << 63)
_SEQUENCES: dict[type, str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}
_MAKERS: dict[str, type] = {tag: kind for kind, tag in _SEQUENCES.items()}
HINT = "numbers, texts, truth values, None, NumPy arrays, enums, TriggerInfo, devices, and containers of these travel"


def _unknown(value: Any) -> Any:
    """Nothing else travels."""
    raise LimitError(f"{told(value)} cannot travel", hint=HINT)


def told(value: Any) -> str:
    """What it is, for messages."""
    name = getattr(value, "__qualname__", None)
    if callable(value) and isinstance(name, str):
        return f"the function {name}" if not isinstance(value, type) else f"the class {name}"
    return f"{value!r:.80} of type {type(value).__qualname__}"


class Codec:
    """Both ways.

    :param outside: gives a tagged dictionary for what is no value: a device, a status; raises for all others.
    :param inside: the reverse, for tags that are not known here.
    :param enums: classes that travel by name; others travel as their values.
    :param objects: classes that are for ``outside`` whatever else they are: some devices are mappings, too.
    """

    def __init__(
        self,
        outside: Callable[[Any], Any] = _unknown,
        inside: Callable[[str, Any], Any] | None = None,
        enums: Mapping[str, type[enum.Enum]] | None = None,
        objects: tuple[type, ...] = (),
    ) -> None:
        self._outside, self._inside, self._objects = outside, inside, objects
        self.enums: Mapping[str, type[enum.Enum]] = known_enums() if enums is None else enums

    # -- out --------------------------------------------------------------------------------------------------

    def encode(self, value: Any, depth: int = 0) -> Any:
        """A value as what JSON can say.

        :raises LimitError: it cannot travel; names it.
        """
        kind = type(value)
        if kind in (str, bool) or value is None:
            return value
        if kind is int:
            return value if value in _INT64 else {"$int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if depth > DEEPEST:
            raise LimitError(f"more than {DEEPEST} containers in each other", hint="does one hold itself?")
        if kind is list:
            return [self.encode(each, depth + 1) for each in value]
        if (tag := _SEQUENCES.get(kind)) is not None:
            return {tag: [self.encode(each, depth + 1) for each in value]}
        return self._encode_rarer(value, depth)

    def _encode_rarer(self, value: Any, depth: int) -> Any:
        match value:
            case _ if isinstance(value, self._objects):
                return self._outside(value)
            case enum.Enum():
                return self._encode_enum(value, depth)
            case np.ndarray() | np.generic() if _DTYPE.fullmatch(value.dtype.newbyteorder("<").str):
                return {"$scalar" if isinstance(value, np.generic) else "$array": _array(np.asarray(value))}
            case Mapping():
                return self._encode_mapping(value, depth)
            case bytes():
                return {"$bytes": base64.b64encode(value).decode()}
            case complex():
                return {"$complex": repr(value)}
            case range() | slice():
                parts = [self.encode(each, depth + 1) for each in (value.start, value.stop, value.step)]
                return {f"${type(value).__name__}": parts}
            case BaseModel() if MODELS.get(type(value).__name__) is type(value):
                return {"$model": [type(value).__name__, self.encode(fields_of(value), depth + 1)]}
            case str() | bool() | int() | float() | list() | tuple() | set() | frozenset():
                plain: Any = next(base for base in type(value).__mro__ if base in _PLAIN)
                return self.encode(plain(value), depth)
        return self._outside(value)

    def _encode_enum(self, value: enum.Enum, depth: int) -> Any:
        name = name_of(type(value))
        if name in self.enums:
            return {"$enum": [name, value.name]}
        return self.encode(value.value, depth + 1)  # devices take it as well

    def _encode_mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        items = [(key, self.encode(each, depth + 1)) for key, each in value.items()]
        if all(type(key) is str and not key.startswith("$") for key, _ in items):
            return dict(items)
        return {"$dict": [[self.encode(key, depth + 1), each] for key, each in items]}

    # -- in ---------------------------------------------------------------------------------------------------

    def decode(self, value: Any) -> Any:
        """The value behind it.

        :raises LimitError: it is no such thing.
        """
        if isinstance(value, list):
            return [self.decode(each) for each in value]
        if not isinstance(value, dict):
            return value
        tag = next(iter(value), "")
        if not tag.startswith("$"):
            return {key: self.decode(each) for key, each in value.items()}
        if len(value) != 1:
            raise LimitError(f"{tag} among others", hint="this is no message of a script's process")
        try:
            return self._decode_tagged(tag, value[tag])
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            if isinstance(error, LimitError):
                raise
            raise LimitError(f"{tag} that is none: {error}") from error

    def _decode_tagged(self, tag: str, content: Any) -> Any:
        match tag:
            case "$tuple" | "$set" | "$frozenset":
                return _MAKERS[tag](self.decode(each) for each in _listed(content))
            case "$dict":
                return {self.decode(key): self.decode(each) for key, each in content}
            case "$int" | "$float" | "$complex" | "$bytes":
                return _ATOMS[tag](content)
            case "$range":
                return range(*self.decode(content))
            case "$slice":
                return slice(*self.decode(content))
            case "$array" | "$scalar":
                array = _from_array(*content)
                return array if tag == "$array" else array[()]
            case "$enum":
                name, member = content
                return self.enums[name][member]
            case "$model":
                name, fields = content
                return MODELS[name](**self.decode(fields))
        if self._inside is None:
            raise LimitError(f"{tag} is not known")
        return self._inside(tag, content)


_ATOMS: dict[str, Callable[[Any], Any]] = {
    "$int": lambda text: int(text, 16),
    "$float": float,
    "$complex": complex,
    "$bytes": lambda text: base64.b64decode(text, validate=True),
}
_PLAIN = (str, bool, int, float, list, tuple, set, frozenset)


def _listed(content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise TypeError(f"{type(content).__name__} instead of a list")
    return content


def _array(array: np.ndarray[Any, Any]) -> list[Any]:
    little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return [little.dtype.str, list(array.shape), base64.b64encode(little.tobytes()).decode()]


def _from_array(dtype: str, shape: list[int], data: str) -> np.ndarray[Any, Any]:
    if not _DTYPE.fullmatch(dtype) or len(shape) > 32:
        raise ValueError(f"no array of {dtype!r}")
    found: np.ndarray[Any, Any] = np.frombuffer(bytearray(base64.b64decode(data, validate=True)), dtype)
    return found.reshape([int(n) for n in shape])
