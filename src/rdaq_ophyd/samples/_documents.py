"""The documents that tell Bluesky and Tiled about the blocks in a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bluesky.protocols import StreamAsset
from event_model import ComposeStreamResource, ComposeStreamResourceBundle, DataKey
from ophyd_async.core import SignalR, StreamableDataProvider

from rdaq_ophyd.errors import CardError

from ._records import COLUMN_CHUNK, COLUMNS, CardRecord, chunk_blocks, column_path, samples_path
from ._ring import STATISTICS

TIMES = {"start": "timestamps", "lost": "lost_samples"}
"""What is told of each block beside the samples: data key's ending -> column of the file."""
_MIMETYPE = "application/x-hdf5"


class BlockDocuments(StreamableDataProvider):
    """Stream resources and datums of one file.

    An event is a block. Each channel is a data key of its own, described as ``(samples,)``; Tiled stacks them, so
    that n blocks read ``(n, samples)``. ``KEY-start`` is the host time of each block's first sample, ``KEY-lost`` how
    many of its samples the card lost.

    :param uri: of the file.
    :param record: what the file says about the card.
    :param written: blocks that are readable; moves only after the flush.
    """

    def __init__(self, uri: str, record: CardRecord, written: SignalR[int]) -> None:
        self.collections_written_signal = written
        self.key = record.name
        self.record = record
        self.uri = uri
        self.emitted = 0
        self.streaming: bool | None = None
        self._last: list[tuple[dict[str, Any], str]] = []
        self._before_last = 0
        composer, chunk = ComposeStreamResource(), (chunk_blocks(record.form), record.form.samples)
        self._samples = [
            self._bundle(composer, f"{self.key}-{name}", samples_path(name), chunk) for name in record.form.channels
        ]
        self._times = [
            self._bundle(composer, f"{self.key}-{name}", column_path(column), (COLUMN_CHUNK,))
            for name, column in TIMES.items()
        ]

    def _bundle(
        self, composer: ComposeStreamResource, key: str, dataset: str, chunk: tuple[int, ...]
    ) -> ComposeStreamResourceBundle:
        parameters = {"dataset": dataset, "chunk_shape": chunk, "swmr": True}
        return composer(mimetype=_MIMETYPE, uri=self.uri, data_key=key, parameters=parameters, uid=None, validate=True)

    def use(self, streaming: bool) -> None:
        """Say whether times and losses go as streams (fly scan) or as event data (step scan) from now on.

        :raises CardError: the file already has blocks of the other kind.
        """
        if self.emitted and self.streaming is not None and streaming != self.streaming:
            raise CardError(
                f"{self.key}: one file cannot hold a step scan and a fly scan",
                hint="unstage and stage the analog input between them",
            )
        self.streaming = streaming

    async def make_datakeys(self, collections_per_event: int = 1) -> dict[str, DataKey]:  # noqa: ARG002  always 1
        """Describe samples, times and losses as streams."""
        keys = self.sample_datakeys()
        for name, key in self.time_datakeys().items():
            keys[name] = DataKey(**key, external="STREAM:")
        return keys

    def sample_datakeys(self) -> dict[str, DataKey]:
        """Describe the samples of each channel."""
        form = self.record.form
        return {
            f"{self.key}-{each.channel.name}": DataKey(
                source=self.uri,
                shape=[form.samples],
                dtype="array",
                dtype_numpy=form.dtype_numpy,
                external="STREAM:",
                units=each.units,
                dims=[f"{self.key}_sample"],
            )
            for each in self.record.channels
        }

    def time_datakeys(self) -> dict[str, DataKey]:
        """Describe what each block has beside its samples, but for where it is kept."""
        keys = {}
        for name, column in TIMES.items():
            dtype, units, _ = COLUMNS[column]
            key = keys[f"{self.key}-{name}"] = DataKey(source=self.uri, shape=[], dtype="number", dtype_numpy=dtype)
            if units:
                key["units"] = units
        return keys

    def statistic_datakeys(self) -> dict[str, DataKey]:
        """Describe the statistics of each channel: event data of a step scan."""
        return {
            f"{self.key}-{each.channel.name}-{name}": DataKey(
                source=self.uri, shape=[], dtype="number", dtype_numpy="<f8", units=each.units
            )
            for each in self.record.channels
            for name in STATISTICS
        }

    async def make_stream_docs(
        self,
        collections_written: int,
        collections_per_event: int = 1,  # noqa: ARG002  always 1
    ) -> AsyncIterator[StreamAsset]:
        """Documents for the blocks that were written since the last call."""
        if collections_written <= self.emitted:
            return
        bundles = [*self._samples, *(self._times if self.streaming else [])]
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
        """Take back the documents handed out last if the engine never emitted them, and say how many blocks stay.

        A pause between ``read`` and ``save`` throws a point's documents away. The engine completes each
        document it emits in place (a datum gets its descriptor), which tells the two cases apart.
        """
        datums = [document for document, name in self._last if name == "stream_datum"]
        if datums and not any(document["descriptor"] for document in datums):
            self.emitted = self._before_last
        self._last = []
        return self.emitted
