"""``Frame`` messages without the copies that a protobuf library makes of their pixels.

The layout on the wire is protobuf's own (field 1: header, field 2: pixels, field 3: further frames, each with its
length), so that clients in other languages read them with their usual library.
"""

from __future__ import annotations

import re
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError

from . import daq_pb2

SPEAKS = "does the server speak version 1 of daq.proto?"
"""What to ask oneself where a message is none."""
HEADER, PIXELS, ALSO = b"\x0a", b"\x12", b"\x1a"
"""Tags: number of the field << 3 | 2, for what has a length (protobuf, "Encoding")."""
_PIXEL = re.compile(r"<([iuf][248]|c8|c16)|\|[biu]1")
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


type Parts = tuple[daq_pb2.FrameHeader, NDArray[Any]]
"""Header and pixels of a frame; these are a read-only view of the message, shape (height, width)."""


def frames_from(data: bytes) -> list[Parts]:
    """All frames of a message.

    :raises LimitError: it is no such message.
    """
    one, place = _frame_at(data, 0)
    frames = [one]
    while place < len(data):
        begin, end = span(data, place, ALSO, "frame")
        one, place = _frame_at(data, begin)
        if place != end:
            raise LimitError(f"a frame of {place - begin} bytes is said to have {end - begin}")
        frames.append(one)
    return frames


def frame_from(data: bytes) -> Parts:
    """The frame of a message of one.

    :raises LimitError: it is no such message.
    """
    one, end = _frame_at(data, 0)
    if end < len(data):
        raise LimitError(f"{len(data) - end} bytes after the frame")
    return one


def _frame_at(data: bytes, place: int) -> tuple[Parts, int]:
    """The frame that begins there, and where it ends."""
    begin, end = span(data, place, HEADER, "frame")
    try:
        header = daq_pb2.FrameHeader.FromString(data[begin:end])
    except DecodeError as error:
        raise LimitError(f"the header of this frame is none: {error}", hint=SPEAKS) from error
    begin, end = span(data, end, PIXELS, "frame")
    pixels = memoryview(data)[begin:end]
    try:
        array = np.frombuffer(pixels, _dtype(header.dtype)).reshape(header.height, header.width)
    except ValueError as error:
        raise LimitError(
            f"{end - begin} bytes are no frame of {header.width} × {header.height} {header.dtype!r}: {error}"
        ) from error
    return (header, array), end


@lru_cache(32)
def _dtype(name: str) -> np.dtype[Any]:
    """That of pixels; NumPy takes a name of others for a small program, which may fail in many ways.

    :raises ValueError: it is none.
    """
    if not _PIXEL.fullmatch(name):
        raise ValueError("pixels are numbers, as in '<u2', '|u1', '<f4'")
    return np.dtype(name)


@lru_cache(256)  # those of frames are few, and asked for three times each
def varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def span(data: bytes, place: int, tag: bytes, what: str) -> tuple[int, int]:
    """Where the content of the field at ``place`` begins and ends.

    :raises LimitError: there is no field of that tag, or not all of it.
    """
    if place >= len(data) or data[place] != tag[0]:
        raise LimitError(f"this is no {what}", hint=SPEAKS)
    length = shift = 0
    for at in range(place + 1, min(place + 11, len(data))):
        byte = data[at]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            if at + 1 + length > len(data):
                break
            return at + 1, at + 1 + length
        shift += 7
    raise LimitError(f"the {what} is cut short", hint="was the connection lost?")
