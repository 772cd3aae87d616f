"""``SampleBlock`` messages without the copies that a protobuf library makes of their samples.

As in :mod:`~rdaq_ophyd.wire._frames` the layout is protobuf's own; the samples are field 1, which stands first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError

from . import daq_pb2
from ._frames import SPEAKS, span, varint

PAYLOAD = b"\x0a"
"""Tag: number of the field << 3 | 2, for what has a length."""
FLUSH = 0.010
"""Seconds from block to block unless asked for: a message costs 100 to 200 µs on either side, whatever is in it, and a
screen shows a picture every 16 ms."""
_DTYPE = re.compile(r"<[iuf][48]|<[iu]2|\|[iu]1")


def sample_bytes(block: daq_pb2.SampleBlock, rows: Sequence[NDArray[Any]] = ()) -> bytes:
    """A ``SampleBlock`` as bytes; one copy of the samples.

    :param block: all of it but the payload.
    :param rows: the payload in parts, each contiguous, a row a sample.
    """
    head = block.SerializeToString()
    if not rows:
        return head
    return b"".join((PAYLOAD, varint(sum(part.nbytes for part in rows)), *rows, head))


def samples_from(data: bytes) -> tuple[daq_pb2.SampleBlock, memoryview]:
    """The block without its payload, and the payload, which is a view of ``data``.

    :raises LimitError: it is no such message.
    """
    begin = end = 0
    if data[:1] == PAYLOAD:
        begin, end = span(data, 0, PAYLOAD, "block of samples")
    try:
        block = daq_pb2.SampleBlock.FromString(data[end:])
    except DecodeError as error:
        raise LimitError("this is no block of samples", hint=SPEAKS) from error
    if block.payload:
        raise LimitError("this block of samples has two payloads", hint="put the payload before everything else")
    return block, memoryview(data)[begin:end]


def row_dtype(schema: daq_pb2.SampleSchema) -> np.dtype[Any]:
    """What a row of this schema is: a structure with a field for each column.

    :raises LimitError: a column is of no kind that travels or has no name, two have the same, or there is none.
    """
    for column in schema.columns:
        if not column.name:
            raise LimitError(f"{schema.device}: a column without a name", hint="give each column a name of its own")
        if not _DTYPE.fullmatch(column.dtype):
            raise LimitError(f"{column.name}: columns of {column.dtype!r} are not taken", hint="numbers, as '<f4'")
    try:
        dtype = np.dtype([(column.name, column.dtype) for column in schema.columns])
    except ValueError as error:
        raise LimitError(f"{schema.device}: {error}", hint="give each column a name of its own") from error
    if not dtype.itemsize:
        raise LimitError(f"{schema.device}: no columns", hint="a row has at least one")
    return dtype


def rows_from(payload: memoryview, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The rows, a read-only view.

    :raises LimitError: these are not whole rows.
    """
    if payload.nbytes % dtype.itemsize:
        raise LimitError(f"{payload.nbytes} bytes are no rows of {dtype.itemsize} bytes", hint="send whole samples")
    return np.frombuffer(payload, dtype)
