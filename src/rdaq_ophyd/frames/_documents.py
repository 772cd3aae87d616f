"""The documents that tell Bluesky and Tiled about the frames in a file."""

from __future__ import annotations

from event_model import DataKey
from ophyd_async.core import SignalR

from rdaq_ophyd.streams import StreamDocuments

from ._format import FrameFormat
from ._records import COLUMN_CHUNK, COLUMNS, DATA, column_path
from ._words import WORDS

SCALARS = {"mean": "mean", "max": "max", "sum": "sum", "lost": "lost_frames"}
"""Data key's ending -> column of the file: event data in step scans, streams in fly scans."""


def scalar_datakey(name: str, source: str) -> DataKey:
    """How one scalar of a frame is described, but for where it is kept."""
    dtype, units, _ = COLUMNS[SCALARS[name]]
    key = DataKey(source=source, shape=[], dtype="number", dtype_numpy=dtype)
    if units:
        key["units"] = units
    return key


class FrameDocuments(StreamDocuments):
    """Stream resources and datums of one file.

    A frame is described as ``(height, width)``; Tiled stacks them, so that n frames read ``(n, height, width)``.
    ``chunk_shape`` counts from the leading dimension of that.

    :param uri: of the file.
    :param key: data key of the frames; the scalars are ``key-mean`` and so on. ``key-lost`` is how many frames the
        camera lost just before each.
    :param written: rows that are readable; moves only after the flush.
    """

    def __init__(self, uri: str, key: str, frame: FrameFormat, written: SignalR[int]) -> None:
        super().__init__(uri, key, written, WORDS)
        self.frame = frame
        self._always = [self._bundle(key, DATA, (1, *frame.shape))]
        self._flown = [
            self._bundle(f"{key}-{name}", column_path(column), (COLUMN_CHUNK,)) for name, column in SCALARS.items()
        ]

    async def make_datakeys(self, collections_per_event: int = 1) -> dict[str, DataKey]:  # noqa: ARG002  always 1
        """Describe frames and scalars as streams."""
        keys = self.frame_datakeys()
        for name in SCALARS:
            keys[f"{self.key}-{name}"] = DataKey(**scalar_datakey(name, self.uri), external="STREAM:")
        return keys

    def frame_datakeys(self) -> dict[str, DataKey]:
        """Describe the frames alone."""
        return {
            self.key: DataKey(
                source=self.uri,
                shape=[*self.frame.shape],
                dtype="array",
                dtype_numpy=self.frame.dtype_numpy,
                external="STREAM:",
                units="counts",
            )
        }
