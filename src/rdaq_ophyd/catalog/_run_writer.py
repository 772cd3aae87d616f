"""Documents of one run into Tiled, with a moment of our choosing at which everything must be there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import httpx
from bluesky_tiled_plugins.writing.tiled_writer import RunNormalizer, _RunWriter

from rdaq_ophyd.document_lines import Document

from ._consolidator import consolidator as consolidator_of
from ._path_map import PathMap

# Never reached: pages are written by flush(), as large as the documents that came since the last one.
_UNBOUNDED = 2**60
# Elements above which an array goes into a file of its own; all do: SQLite tables have no column for lists.
_LARGEST_IN_TABLE = 0


class _PagedRunWriter(_RunWriter):  # type: ignore[misc]
    """The plugin's writer of one run, plus :meth:`flush`.

    :param paths: where the server sees the files.
    """

    def __init__(self, client: Any, paths: PathMap, **options: Any) -> None:
        super().__init__(client, **options)
        self._paths = paths

    def stream_resource(self, doc: Document) -> None:
        """The plugin's own, of the file as the server names it."""
        super().stream_resource(self._paths.resource(doc))

    def flush(self) -> None:
        """Write all events as one page a stream, and all stream datums as one a file."""
        for stream, rows in self._internal_data_cache.items():
            if rows:
                self._write_internal_data(rows, desc_node=self._desc_nodes[stream])
                rows.clear()
        for datum in list(self._external_data_cache.values()):
            self._write_external_data(datum)
        self._external_data_cache.clear()

    def _write_external_data(self, doc: Document) -> None:
        """The plugin's own, but an array is registered with its first rows, not empty and updated at once."""
        resource = self._stream_resource_cache.get(doc["stream_resource"])
        stream = self._desc_nodes[doc["descriptor"]]
        keys = (doc["stream_resource"], f"{stream.item['id']}_{resource['data_key']}" if resource else "")
        if resource is None or any(key in self._sres_nodes for key in keys):
            super()._write_external_data(doc)
            return
        consolidator = consolidator_of(resource, stream.metadata)
        consolidator.consume_stream_datum(doc)
        source = consolidator.get_data_source()
        node = stream.new(
            key=consolidator.data_key,
            structure_family=source.structure_family,
            data_sources=[source],
            metadata={},
            specs=[],
            access_tags=self.access_tags,
        )
        self._consolidators.update(dict.fromkeys(keys, consolidator))
        self._sres_nodes.update(dict.fromkeys(keys, node))

    def _append_with_retry(self, table_client: Any, table: Any, _stream: str) -> None:
        # The plugin repeats an append whose answer was lost, which may double rows; here the whole run is repeated.
        table_client.append_partition(0, table)


def _delete(client: Any, uid: str) -> None:
    try:
        client.delete_contents(uid, recursive=True, external_only=False)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise


class RunDelivery:
    """Writes the documents of one run through the plugin's normalizer.

    :param client: the root of the catalog.
    :param uid: the run.
    :param again: the catalog may have something of it from an earlier attempt, which is deleted.
    :param paths: where the server sees the files.
    """

    def __init__(self, client: Any, uid: str, *, again: bool = True, paths: PathMap | None = None) -> None:
        if again:
            _delete(client, uid)
        self._number_keys: dict[str, set[str]] = {}
        self._writer = _PagedRunWriter(
            client.include_data_sources(),
            paths or PathMap(),
            batch_size=_UNBOUNDED,
            max_array_size=_LARGEST_IN_TABLE,
        )
        self._normalizer = RunNormalizer(patches={"descriptor": self._note_numbers, "event": self._as_floats})
        self._normalizer.subscribe(self._writer)

    def write(self, documents: Iterable[tuple[str, Document]]) -> None:
        """Hand the documents on; when this returns, the catalog has them."""
        name = ""
        for name, document in documents:
            if name == "stop":
                self._writer.flush()
            self._normalizer(name, document)
        if name != "stop":
            self._writer.flush()

    def _note_numbers(self, descriptor: Document) -> Document:
        self._number_keys[descriptor["uid"]] = {
            key
            for key, data_key in descriptor["data_keys"].items()
            if data_key["dtype"] == "number" and not data_key.get("shape") and "external" not in data_key
        }
        return descriptor

    def _as_floats(self, event: Document) -> Document:
        # A column takes its type from its first row: an integer or a missing value there would refuse later fractions.
        data = event["data"]
        for key in self._number_keys.get(event["descriptor"], ()) & data.keys():
            if data[key] is None or isinstance(data[key], int):
                data[key] = math.nan if data[key] is None else float(data[key])
        return event
