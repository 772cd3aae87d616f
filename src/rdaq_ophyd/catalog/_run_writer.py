"""Documents of one run into Tiled, with a moment of our choosing at which everything must be there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import httpx
from bluesky_tiled_plugins.writing.tiled_writer import RunNormalizer, _RunWriter

from rdaq_ophyd.document_lines import Document
from rdaq_ophyd.errors import CatalogError

from ._consolidator import consolidator as consolidator_of
from ._in_place import PartsInPlace
from ._kept_rows import KeptArray, KeptTable
from ._path_map import PathMap

# Never reached: pages are written by flush(), as large as the documents that came since the last one.
_UNBOUNDED = 2**60
# Elements above which an array goes into a file of its own; all do: SQLite tables have no column for lists.
_LARGEST_IN_TABLE = 0


class _PagedRunWriter(_RunWriter):  # type: ignore[misc]
    """The plugin's writer of one run, plus :meth:`flush`. It goes on with a run that the catalog has in part.

    :param paths: where the server sees the files.
    """

    def __init__(self, client: Any, paths: PathMap, **options: Any) -> None:
        super().__init__(PartsInPlace(client), **options)
        self._paths = paths
        # Address of an array in files that was there -> its rows and files then.
        self._kept: dict[str, _InFiles] = {}
        self._settling = False

    def start(self, doc: Document) -> None:
        """The plugin's own, or the run as it is there."""
        super().start(doc)
        there = self.root_node.metadata.get("start", {})
        if any(there.get(key) != doc[key] for key in ("uid", "time")):
            raise CatalogError(
                f"the catalog has another run {doc['uid']}, begun at {there.get('time')} and not at {doc['time']}",
                hint="give each run its own uid; if that one is to go, the catalog's administrator can delete it",
            )

    def descriptor(self, doc: Document) -> None:
        """The plugin's own; a change of configuration that the catalog knows of is not noted twice."""
        stream = self._desc_nodes.get(doc["name"])
        if stream is not None and any(each["uid"] == doc["uid"] for each in stream.metadata.get("_config_updates", ())):
            self.data_keys.update(doc.get("data_keys", {}))
            self._desc_nodes[doc["uid"]] = stream
        else:
            super().descriptor(doc)

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

    def settle(self) -> None:
        """Make sure that parts that were there have just what the documents tell, when these have all come.

        :raises CatalogError: one has not, and has to be written again; the first of them, when all were seen to.
        """
        errors = []
        for settle in list(self._to_settle()):
            try:
                settle()
            except CatalogError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _to_settle(self) -> Iterator[Callable[[], None]]:
        for part in (*self._internal_tables.values(), *self._internal_arrays.values()):
            if isinstance(part, KeptTable | KeptArray):
                yield part.settle
        self._settling = True
        for uid, resource in self._stream_resource_cache.items():
            if uid not in self._sres_nodes:
                self._tell_of_no_row(uid, resource)
        kept = {node.uri: (node, key) for key, node in self._sres_nodes.items() if node.uri in self._kept}
        for node, key in kept.values():
            source = self._consolidators[key].get_data_source()
            yield partial(self._update_data_source_for_node, node, source)

    def _tell_of_no_row(self, uid: str, resource: Document) -> None:
        """Take an array for one of this delivery that has a file of which the documents tell no row any more.

        A repair may find none in it.
        """
        for stream in set(self._desc_nodes.values()):
            if "external" not in stream.metadata.get("data_keys", {}).get(resource["data_key"], {}):
                continue
            key = f"{stream.item['id']}_{resource['data_key']}"
            told = self._consolidators.get(key)
            node = stream.part(resource["data_key"]) if told is None else self._sres_nodes[key]
            if node is None or resource["uri"] not in _files(*node.data_sources()):
                continue
            if told is not None and resource["uri"] in _files(told):
                continue
            if told is not None:
                told.update_from_stream_resource(resource)
            else:
                self._consolidators[key] = consolidator_of(resource, stream.metadata)
                self._kept[node.uri] = _InFiles(_rows(node), _files(*node.data_sources()))
            self._sres_nodes.update(dict.fromkeys((uid, key), node))
            self._consolidators[uid] = self._consolidators[key]

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
            source.structure_family,
            [source],
            key=consolidator.data_key,
            metadata={},
            specs=[],
            access_tags=self.access_tags,
        )
        self._consolidators.update(dict.fromkeys(keys, consolidator))
        self._sres_nodes.update(dict.fromkeys(keys, node))
        if consolidator.data_key in stream.kept:
            self._kept[node.uri] = _InFiles(_rows(node), _files(*node.data_sources()))
            self._update_data_source_for_node(node, source)

    def _update_data_source_for_node(self, node: Any, data_source: Any, patch: Any = None) -> None:
        """The plugin's own, but an array that was there shrinks, if at all, when the run is over."""
        if (there := self._kept.get(node.uri)) is not None:
            _same_files(node, there.files, _files(data_source), all_of_them=self._settling)
            if not self._settling and there.rows > _rows(data_source.structure):
                return
        super()._update_data_source_for_node(node, data_source, patch)

    def _append_with_retry(self, table_client: Any, table: Any, _stream: str) -> None:
        # The plugin repeats an append whose answer was lost, which may double rows; here the whole run is repeated.
        table_client.append_partition(0, table)


class _InFiles(NamedTuple):
    """An array as the catalog knew it before."""

    rows: int
    files: list[str]


def _rows(structure: Any) -> int:
    shape = getattr(structure, "shape", ())
    return shape[0] if shape else 0


def _files(source: Any) -> list[str]:
    return [asset.data_uri for asset in sorted(source.assets, key=lambda asset: asset.num or 0)]


def _same_files(node: Any, known: list[str], told: list[str], *, all_of_them: bool) -> None:
    """Whether the catalog reads an array from the files that the documents name, as far as both go.

    :param all_of_them: the documents name no more files.
    """
    common = len(known) if all_of_them else min(len(known), len(told))
    if known[:common] == told[:common]:
        return
    if known[: len(told)] == told:
        raise CatalogError(
            f"the catalog reads {'/'.join(node.path_parts)} from {len(known)} files, the run has {len(told)} of them",
            hint="the repaired run has fewer files; deleted by the catalog's administrator it is written whole",
        )
    raise CatalogError(
        f"the catalog reads {'/'.join(node.path_parts)} from {', '.join(known)}, and the run has {', '.join(told)}",
        hint="was [paths] changed? When the catalog's administrator has deleted the run, it is written whole",
    )


def _delete(client: Any, uid: str) -> None:
    try:
        client.delete_contents(uid, recursive=True, external_only=False)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise


class RunDelivery:
    """Writes the documents of one run through the plugin's normalizer.

    What the catalog has of it from an earlier attempt is kept, as far as it agrees, and completed.

    :param client: the root of the catalog.
    :param uid: the run.
    :param afresh: what is there is deleted first, which not every key may.
    :param paths: where the server sees the files.
    """

    def __init__(self, client: Any, uid: str, *, afresh: bool = False, paths: PathMap | None = None) -> None:
        if afresh:
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
                self._writer.settle()
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
