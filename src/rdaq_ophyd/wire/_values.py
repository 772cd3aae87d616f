"""Values of signals as messages, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError

from . import daq_pb2

KINDS = "biuf"
"""Kinds of arrays that travel: truth values, integers, floating point."""
LARGEST = 1 << 26
"""Bytes of one array, 64 MiB; frames have a stream of their own."""
_DTYPE = re.compile(r"[<|]?(b1|[iu][1248]|f[48])")
_INT64 = range(-(1 << 63), 1 << 63)


def to_value(value: Any) -> daq_pb2.Value:
    """A value as a message.

    :raises LimitError: it is of no kind that travels.
    """
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case bool():
            return daq_pb2.Value(truth=value)
        case int():
            return daq_pb2.Value(integer=value) if value in _INT64 else daq_pb2.Value(number=float(value))
        case float():
            return daq_pb2.Value(number=value)
        case str():
            return daq_pb2.Value(text=value)
        case np.ndarray() if value.dtype.kind in KINDS and value.nbytes <= LARGEST:
            return daq_pb2.Value(array=_array(value))
        case list() | tuple():
            return _sequence(value)
    what = f"an array of {value.nbytes} bytes" if isinstance(value, np.ndarray) else type(value).__name__
    raise LimitError(
        f"{what} cannot be sent", hint=f"a number, truth value, text, list, or an array of up to {LARGEST} bytes"
    )


def _sequence(values: Sequence[Any]) -> daq_pb2.Value:
    if all(isinstance(value, str | Enum) for value in values):
        texts = [str(value.value) if isinstance(value, Enum) else value for value in values]
        return daq_pb2.Value(texts=daq_pb2.Texts(text=texts))
    array = np.asarray(values)
    if array.dtype.kind not in KINDS:
        raise LimitError(f"a list of {array.dtype} cannot be sent", hint="send numbers alone, or texts alone")
    return to_value(array)


def _array(array: NDArray[Any]) -> daq_pb2.Array:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return daq_pb2.Array(dtype=little.dtype.str, shape=array.shape, data=little.tobytes())


def from_value(message: daq_pb2.Value) -> Any:
    """The value of a message: a Python one, or a read-only NumPy array.

    :raises LimitError: the message has none, or its array is not what it says.
    """
    kind = message.WhichOneof("kind")
    if kind is None:
        raise LimitError("the message has no value", hint="give one of number, integer, truth, text, texts, array")
    if kind == "array":
        return _from_array(message.array)
    if kind == "texts":
        return list(message.texts.text)
    return getattr(message, kind)


def _from_array(message: daq_pb2.Array) -> NDArray[Any]:
    if not _DTYPE.fullmatch(message.dtype):
        raise LimitError(
            f"arrays of {message.dtype!r} are not taken", hint="write the dtype as NumPy does: '<f8', '<u2', '|b1'"
        )
    dtype = np.dtype(message.dtype)
    shape = tuple(message.shape)
    if len(shape) > 32 or math.prod(shape) * dtype.itemsize != len(message.data):
        raise LimitError(
            f"{len(message.data)} bytes are no {dtype} of shape {shape}", hint="send all of it, and no more"
        )
    try:
        return np.frombuffer(message.data, dtype).reshape(shape)
    except ValueError as error:  # no bytes at all fit a shape that has a 0, and whatever else
        raise LimitError(f"there are no arrays of shape {shape}: {error}") from error
