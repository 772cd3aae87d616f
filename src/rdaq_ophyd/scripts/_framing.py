"""Frames on the pipe between the rig and a script's process: four bytes of length, big-endian, then JSON."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import orjson

from rdaq_ophyd.errors import LimitError

LARGEST = 32 << 20
"""Bytes of a frame; a script's arrays are small, frames of cameras never travel here."""
HEAD = struct.Struct(">I")


def pack(content: dict[str, Any]) -> bytes:
    """A frame.

    :raises LimitError: it is too large, or something in it is no JSON.
    """
    try:
        body = orjson.dumps(content)
    except TypeError as error:
        raise LimitError(f"it cannot travel: {error}") from error
    if len(body) > LARGEST:
        raise LimitError(f"{len(body)} bytes are too many for a message", hint=f"{LARGEST >> 20} MiB travel at most")
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


def length(head: bytes | bytearray) -> int:
    """Of the frame that begins with these four bytes.

    :raises LimitError: longer than any frame.
    """
    (size,) = HEAD.unpack(head)
    if size > LARGEST:
        raise LimitError(f"a frame of {size} bytes", hint=f"{LARGEST >> 20} MiB at most")
    return int(size)


class Unpacker:
    """Frames out of bytes as they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Those that are whole now.

        :raises LimitError: what arrived is no frame.
        """
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            end = HEAD.size + length(self._buffer[: HEAD.size])
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEAD.size : end])
            del self._buffer[:end]
            yield unpack(body)
