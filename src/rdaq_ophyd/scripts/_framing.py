"""Frames on the pipe between the rig and a script's process: four bytes of length, big-endian, then JSON."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import orjson

from rdaq_ophyd.errors import LimitError

LARGEST = 64 << 20
"""Bytes of a frame to a script; readings may have arrays in them, frames of cameras never travel here."""
FROM_SCRIPT = 4 << 20
"""Bytes of a frame from one, which the engine's loop reads: what is in messages is small."""
HEAD = struct.Struct(">I")


def pack(content: dict[str, Any], largest: int = LARGEST) -> bytes:
    """A frame of at most so many bytes.

    :raises LimitError: it is too large, or something in it is no JSON.
    """
    try:
        body = orjson.dumps(content)
    except TypeError as error:
        raise LimitError(f"it cannot travel: {error}") from error
    if len(body) > largest:
        raise LimitError(f"{len(body)} bytes are too many for a message", hint=f"{largest >> 20} MiB travel at most")
    return HEAD.pack(len(body)) + body


def unpack(body: bytes | bytearray) -> dict[str, Any]:
    """The content of a frame.

    :raises LimitError: it is none.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise LimitError(f"no frame: {error}") from error
    if not isinstance(content, dict):
        raise LimitError(f"no frame: {type(content).__name__}")
    return content


def length(head: bytes | bytearray, largest: int = LARGEST) -> int:
    """Of the frame that begins with these four bytes.

    :raises LimitError: longer than any frame.
    """
    (size,) = HEAD.unpack(head)
    if size > largest:
        raise LimitError(f"a frame of {size} bytes", hint=f"{largest >> 20} MiB at most")
    return int(size)


class Unpacker:
    """Frames of a script out of bytes as they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Those that are whole now.

        :raises LimitError: what arrived is no frame.
        """
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            end = HEAD.size + length(self._buffer[: HEAD.size], FROM_SCRIPT)
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEAD.size : end])
            del self._buffer[:end]
            yield unpack(body)
