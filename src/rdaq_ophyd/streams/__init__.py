"""Streams: what cameras and analog inputs share on the way from a driver to a file and its documents."""

from ._acquisition import Acquisition
from ._broadcast import BroadcastRing, RingCounts, RingReader
from ._connector import StreamConnector
from ._detector import StreamDetector
from ._disk import data_directory_error, ensure_room
from ._documents import StreamDocuments
from ._flight import Flight
from ._logics import StreamAcquireLogic, StreamDataLogic, check_info
from ._pipeline import StreamDriver, StreamPipeline
from ._safety import StreamSafety
from ._sink import StreamFile, StreamSink
from ._totals import Totals
from ._words import Words

__all__ = [
    "Acquisition",
    "BroadcastRing",
    "Flight",
    "RingCounts",
    "RingReader",
    "StreamAcquireLogic",
    "StreamConnector",
    "StreamDataLogic",
    "StreamDetector",
    "StreamDocuments",
    "StreamDriver",
    "StreamFile",
    "StreamPipeline",
    "StreamSafety",
    "StreamSink",
    "Totals",
    "Words",
    "check_info",
    "data_directory_error",
    "ensure_room",
]
