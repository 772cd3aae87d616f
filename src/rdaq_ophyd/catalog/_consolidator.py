"""What Tiled is told of the files of a data key: also how many rows of each the documents tell of."""

from __future__ import annotations

from typing import Any

from bluesky_tiled_plugins.writing.consolidators import HDF5Consolidator, consolidator_factory

from rdaq_ophyd.document_lines import Document

from ._told_rows import ROWS

_HDF5 = "application/x-hdf5"


class FilesConsolidator(HDF5Consolidator):  # type: ignore[misc]
    """The plugin's own, which also notes what is told of each file.

    A file may have more rows than that: a frame that was triggered and never read.
    """

    def __init__(self, stream_resource: Document, descriptor: Document) -> None:
        super().__init__(stream_resource, descriptor)
        self._told = {stream_resource["uid"]: 0}

    def update_from_stream_resource(self, stream_resource: Document) -> None:
        """One more file."""
        super().update_from_stream_resource(stream_resource)
        self._told[stream_resource["uid"]] = 0

    def consume_stream_datum(self, doc: Document) -> Any:
        """More rows of the file that ``doc`` names."""
        uid = doc["stream_resource"]
        self._told[uid] = max(self._told[uid], doc["indices"]["stop"])
        return super().consume_stream_datum(doc)

    def get_data_source(self) -> Any:
        """What Tiled gets."""
        source = super().get_data_source()
        if len(self._told) > 1:
            source.properties = {**source.properties, ROWS: [*self._told.values()]}
        return source


def consolidator(stream_resource: Document, descriptor: Document) -> Any:
    """The plugin's choice, but ours for HDF5 files that are named one by one."""
    if stream_resource["mimetype"] == _HDF5 and not stream_resource["parameters"].get("template"):
        return FilesConsolidator(stream_resource, descriptor)
    return consolidator_factory(stream_resource, descriptor)
