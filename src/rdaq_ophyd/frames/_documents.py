"""The documents that tell Bluesky and Tiled about the frames in a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bluesky.protocols import StreamAsset
from event_model import ComposeStreamResource, ComposeStreamResourceBundle, DataKey
from ophyd_async.core import SignalR, StreamableDataProvider

from rdaq_ophyd.errors import CameraError

from ._format import FrameFormat
from ._records import COLUMN_CHUNK, COLUMNS, DATA, column_path

# The columns that are data of their own: event data in step scans, streams in fly scans.
SCALARS = ("mean", "max", "sum")
_MIMETYPE = "application/x-hdf5"


def scalar_datakey(name: str, source: str) -> DataKey:
    """How one scalar of a frame is described, but for where it is kept."""
    dtype, units, _ = COLUMNS[name]
    return DataKey(source=source, shape=[], dtype="number", dtype_numpy=dtype, units=units)


class FrameDocuments(StreamableDataProvider):
    """Stream resources and datums of one file.

    A frame is described as ``(height, width)``; Tiled stacks them, so that n frames read ``(n, height, width)``.
    ``chunk_shape`` counts from the leading dimension of that.

    :param uri: of the file.
    :param key: data key of the frames; the scalars are ``key-mean`` and so on.
    :param written: rows that are readable; moves only after the flush.
    """

    def __init__(self, uri: str, key: str, frame: FrameFormat, written: SignalR[int]) -> None:
        self.collections_written_signal = written
        self.key = key
        self.frame = frame
        self.uri = uri
        self.emitted = 0
        self.streaming: bool | None = None
        self._last: list[tuple[dict[str, Any], str]] = []
        self._before_last = 0
        composer = ComposeStreamResource()
        self._frames = self._bundle(composer, key, DATA, (1, *frame.shape))
        self._scalars = [
            self._bundle(composer, f"{key}-{name}", column_path(name), (COLUMN_CHUNK,)) for name in SCALARS
        ]

    def _bundle(
        self, composer: ComposeStreamResource, key: str, dataset: str, chunk: tuple[int, ...]
    ) -> ComposeStreamResourceBundle:
        parameters = {"dataset": dataset, "chunk_shape": chunk, "swmr": True}
        return composer(mimetype=_MIMETYPE, uri=self.uri, data_key=key, parameters=parameters, uid=None, validate=True)

    def use(self, streaming: bool) -> None:
        """Say whether the scalars go as streams (fly scan) or as event data (step scan) from now on.

        :raises CameraError: the file already has frames of the other kind.
        """
        if self.emitted and self.streaming is not None and streaming != self.streaming:
            raise CameraError(
                f"{self.key}: one file cannot hold a step scan and a fly scan",
                hint="unstage and stage the camera between them",
            )
        self.streaming = streaming

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

    async def make_stream_docs(
        self,
        collections_written: int,
        collections_per_event: int = 1,  # noqa: ARG002  always 1
    ) -> AsyncIterator[StreamAsset]:
        """Documents for the rows that were written since the last call."""
        if collections_written <= self.emitted:
            return
        bundles = [self._frames, *(self._scalars if self.streaming else [])]
        start, self.emitted = self.emitted, collections_written
        documents: list[tuple[Any, str]] = []
        if start == 0:
            documents += [(bundle.stream_resource_doc, "stream_resource") for bundle in bundles]
        documents += [
            (bundle.compose_stream_datum({"start": start, "stop": collections_written}), "stream_datum")
            for bundle in bundles
        ]
        self._last, self._before_last = documents, start
        for document, name in documents:
            yield name, document  # type: ignore[misc]

    def settle(self) -> int:
        """Take back the documents handed out last if the engine never emitted them, and say how many rows stay.

        A pause between ``read`` and ``save`` throws a point's documents away. The engine completes each
        document it emits in place (a datum gets its descriptor), which tells the two cases apart.
        """
        datums = [document for document, name in self._last if name == "stream_datum"]
        if datums and not any(document["descriptor"] for document in datums):
            self.emitted = self._before_last
        self._last = []
        return self.emitted
