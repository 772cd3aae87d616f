"""``Frame`` messages without the copies that a protobuf library makes of their pixels.

The layout on the wire is protobuf's own (field 1: header, field 2: pixels, field 3: further frames, each with its
length), so that clients in other languages read them with their usual library.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError

from . import daq_pb2

HEADER, PIXELS, ALSO = b"\x0a", b"\x12", b"\x1a"
"""Tags: number of the field << 3 | 2, for what has a length (protobuf, "Encoding")."""
QUICK = 1 << 20
"""Bytes that are copied with Python's lock held, 0.1 ms; of more it is let go meanwhile, where there is memory of an
earlier message."""


def _fields(header: daq_pb2.FrameHeader, pixels: NDArray[Any]) -> tuple[bytes, memoryview]:
    """All of a ``Frame`` but its pixels, and these."""
    head = header.SerializeToString()
    data = memoryview(pixels if pixels.flags.c_contiguous else np.ascontiguousarray(pixels)).cast("B")
    return b"".join((HEADER, varint(len(head)), head, PIXELS, varint(data.nbytes))), data


class FrameParcel:
    """``Frame`` messages one after another, each of one or several frames; one copy of the pixels of each.

    Their memory is that of the message before, where nobody has that one any more; else it is made anew.
    """

    def __init__(self) -> None:
        self._made = BytesIO()

    def begin(self, header: daq_pb2.FrameHeader, pixels: NDArray[Any]) -> None:
        """Begin a message with a frame.

        :param pixels: shape (height, width), any strides.
        """
        before, data = _fields(header, pixels)
        self._made.seek(0)
        self._made.write(before)
        self._put(data)

    def add(self, header: daq_pb2.FrameHeader, pixels: NDArray[Any]) -> None:
        """Add one behind the others.

        :param pixels: shape (height, width), any strides.
        """
        before, data = _fields(header, pixels)
        self._made.write(ALSO + varint(len(before) + data.nbytes) + before)
        self._put(data)

    def message(self) -> bytes:
        """All of them; nothing is added any more. It is not copied."""
        self._made.truncate()
        return self._made.getvalue()

    def _put(self, data: memoryview) -> None:
        begin = self._made.tell()
        end = begin + data.nbytes
        if data.nbytes <= QUICK or end > self._made.getbuffer().nbytes:  # it has to grow: once or twice in a stream
            self._made.write(data)
            return
        with self._made.getbuffer() as memory:
            np.copyto(np.frombuffer(memory[begin:end], np.uint8), np.frombuffer(data, np.uint8))
        self._made.seek(end)


def frames_in(data: bytes) -> list[memoryview]:
    """The frames of a message, each as if it had come alone: views of ``data``.

    :raises LimitError: it is no such message.
    """
    whole = memoryview(data)
    _, rest = field(whole, HEADER, "frame")
    _, rest = field(rest, PIXELS, "frame")
    frames = [whole[: len(whole) - len(rest)]]
    while rest:
        one, rest = field(rest, ALSO, "frame")
        frames.append(one)
    return frames


def frame_from(data: bytes | memoryview) -> tuple[daq_pb2.FrameHeader, NDArray[Any]]:
    """Header and pixels of one frame; these are a read-only view of ``data``, shape (height, width).

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


@lru_cache(256)  # those of frames are few, and asked for three times each
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
    if not data or data[0] != tag[0]:
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
