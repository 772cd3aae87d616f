"""``Frame`` messages without the copies that a protobuf library makes of their pixels.

The layout on the wire is protobuf's own (field 1: header, field 2: pixels, each with its length), so that clients
in other languages read them with their usual library.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError

from . import daq_pb2

HEADER, PIXELS = b"\x0a", b"\x12"
"""Tags: number of the field << 3 | 2, for what has a length (protobuf, "Encoding")."""


def frame_bytes(header: daq_pb2.FrameHeader, pixels: NDArray[Any]) -> bytes:
    """A ``Frame`` as bytes; one copy of the pixels.

    :param pixels: shape (height, width), any strides.
    """
    head = header.SerializeToString()
    data = memoryview(np.ascontiguousarray(pixels)).cast("B")
    return b"".join((HEADER, varint(len(head)), head, PIXELS, varint(data.nbytes), data))


def frame_from(data: bytes) -> tuple[daq_pb2.FrameHeader, NDArray[Any]]:
    """Header and pixels, which are a read-only view of ``data``, shape (height, width).

    :raises LimitError: it is no such message.
    """
    head, rest = field(memoryview(data), HEADER, "frame")
    pixels, rest = field(rest, PIXELS, "frame")
    header = daq_pb2.FrameHeader.FromString(bytes(head))
    try:
        array = np.frombuffer(pixels, header.dtype).reshape(header.height, header.width)
    except (TypeError, ValueError) as error:
        raise LimitError(
            f"{pixels.nbytes} bytes are no frame of {header.width} × {header.height} {header.dtype!r}: {error}"
        ) from error
    if rest:
        raise LimitError(f"{rest.nbytes} bytes after the frame")
    return header, array


def varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(data: memoryview, tag: bytes, what: str) -> tuple[memoryview, memoryview]:
    """The content of the field that ``data`` begins with, and what follows."""
    if data[:1] != tag:
        raise LimitError(f"this is no {what}", hint="does the server speak version 1 of daq.proto?")
    length, place = 0, 1
    for shift in range(0, 64, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if place + length > len(data):
                break
            return data[place : place + length], data[place + length :]
    raise LimitError(f"the {what} is cut short", hint="was the connection lost?")
