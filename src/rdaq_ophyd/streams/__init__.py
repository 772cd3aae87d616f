"""Streams: what cameras and analog inputs share on the way from a driver to a file and its documents."""

from ._disk import data_directory_error, ensure_room
from ._sink import StreamFile, StreamSink

__all__ = [
    "StreamFile",
    "StreamSink",
    "data_directory_error",
    "ensure_room",
]
