"""Streams: what cameras and analog inputs share on the way from a driver to a file and its documents."""

from ._acquisition import Acquisition
from ._disk import data_directory_error, ensure_room
from ._pipeline import StreamDriver, StreamPipeline
from ._sink import StreamFile, StreamSink
from ._words import Words

__all__ = [
    "Acquisition",
    "StreamDriver",
    "StreamFile",
    "StreamPipeline",
    "StreamSink",
    "Words",
    "data_directory_error",
    "ensure_room",
]
