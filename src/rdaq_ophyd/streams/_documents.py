"""The documents that tell Bluesky and Tiled about the rows of a file."""

from __future__ import annotations

from abc import ABC
from collections.abc import AsyncIterator
from typing import Any

from bluesky.protocols import StreamAsset
from event_model import ComposeStreamResource, ComposeStreamResourceBundle
from ophyd_async.core import SignalR, StreamableDataProvider

from ._words import Words

_MIMETYPE = "application/x-hdf5"


class StreamDocuments(StreamableDataProvider, ABC):
    """Stream resources and datums of one file. Its maker adds to ``_always`` and ``_flown`` what is told of each row.

    :param uri: of the file.
    :param key: data key of the device.
    :param written: rows that are readable; moves only after the flush.
    :param words: for messages.
    :ivar emitted: rows that documents were made of.
    """

    def __init__(self, uri: str, key: str, written: SignalR[int], words: Words) -> None:
        self.collections_written_signal = written
        self.key = key
        self.uri = uri
        self.emitted = 0
        self.streaming: bool | None = None
        self._words = words
        self._composer = ComposeStreamResource()
        self._always: list[ComposeStreamResourceBundle] = []
        self._flown: list[ComposeStreamResourceBundle] = []
        self._last: list[tuple[dict[str, Any], str]] = []
        self._before_last = 0

    def _bundle(self, key: str, dataset: str, chunk: tuple[int, ...]) -> ComposeStreamResourceBundle:
        parameters = {"dataset": dataset, "chunk_shape": chunk, "swmr": True}
        return self._composer(
            mimetype=_MIMETYPE, uri=self.uri, data_key=key, parameters=parameters, uid=None, validate=True
        )

    @property
    def run(self) -> str:
        """Uid of the run that tells of the file: the engine completes a resource in place when it emits it."""
        return str(self._always[0].stream_resource_doc.get("run_start", ""))

    @property
    def told(self) -> int:
        """Rows that documents tell of, without those that an engine was handed, and did not emit."""
        return self.settle() if self.run else self.emitted

    def use(self, streaming: bool) -> None:
        """Say whether what goes with a row is streamed (fly scan) or event data (step scan) from now on.

        :raises CameraError or CardError: the file already has rows of the other kind.
        """
        if self.emitted and self.streaming is not None and streaming != self.streaming:
            raise self._words.error(
                f"{self.key}: one file cannot hold a step scan and a fly scan",
                hint=f"unstage and stage the {self._words.device} between them",
            )
        self.streaming = streaming

    async def make_stream_docs(
        self,
        collections_written: int,
        collections_per_event: int = 1,  # noqa: ARG002  always 1
    ) -> AsyncIterator[StreamAsset]:
        """Documents for the rows that were written since the last call."""
        if collections_written <= self.emitted:
            return
        bundles = [*self._always, *(self._flown if self.streaming else [])]
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
