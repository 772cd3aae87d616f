"""What Tiled is told of the files of a data key: also how many rows of each the documents tell of."""

from __future__ import annotations

import math
from typing import Any

from bluesky_tiled_plugins.writing.consolidators import HDF5Consolidator, consolidator_factory

from rdaq_ophyd.document_lines import Document

from ._told_rows import ROWS

_HDF5 = "application/x-hdf5"
# Below what Tiled's clients ask for in one piece (100 MiB) and its server answers (300 MB).
_LARGEST_CHUNK = 64 * 2**20


class FilesConsolidator(HDF5Consolidator):  # type: ignore[misc]
    """The plugin's own, which also notes what is told of each file.

    A file may have more rows than that: a frame that was triggered and never read.
    """

    def __init__(self, stream_resource: Document, descriptor: Document) -> None:
        super().__init__(stream_resource, descriptor)
        self._told = {stream_resource["uid"]: 0}
        if in_file := tuple(stream_resource["parameters"].get("chunk_shape", ())):
            itemsize = self.data_type.to_numpy_dtype().itemsize
            self.chunk_shape = together(in_file, tuple(self.datum_shape), itemsize)

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


def together(chunk: tuple[int, ...], row: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The chunks that Tiled is told of: as many rows in one as 64 MiB hold, whatever they are in the file.

    Tiled keeps a list of all chunks of an array, a new one each time the array grows. With a chunk for each frame the
    catalog would grow with the square of the frames. What is read is what is asked for, whatever the chunks.

    :param chunk: in the file, from the leading dimension on.
    :param row: shape of one row.
    :param itemsize: bytes of an element.
    """
    rows = _LARGEST_CHUNK // max(1, math.prod(row) * itemsize)
    return max(chunk[0], rows - rows % chunk[0]), *chunk[1:]


def consolidator(stream_resource: Document, descriptor: Document) -> Any:
    """The plugin's choice, but ours for HDF5 files that are named one by one."""
    if stream_resource["mimetype"] == _HDF5 and not stream_resource["parameters"].get("template"):
        return FilesConsolidator(stream_resource, descriptor)
    return consolidator_factory(stream_resource, descriptor)
