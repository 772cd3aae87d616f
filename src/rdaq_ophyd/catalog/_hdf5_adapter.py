"""How our Tiled reads one dataset of one HDF5 file: the asked-for part alone, whatever the length of the rest.

Tiled's own adapter makes a task of each chunk in the file before it reads any: half a second for each request where the
file has 100 000 frames.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.adapters.hdf5 import HDF5Adapter, HDF5ArrayAdapter, h5open
from tiled.ndslice import NDSlice
from tiled.structures.core import StructureFamily
from tiled.utils import path_from_uri


class Rows:
    """The leading rows of a dataset, read as they are asked for; the part of an array that Tiled's adapter uses.

    :param shape: of what is shown: a file that grows may have more rows by now.
    """

    def __init__(self, path: Path, dataset: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
        self.path, self.dataset, self.shape, self.options = path, dataset, shape, options

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        asked = NDSlice(*key).expand_for_shape(self.shape)
        forward: list[int | slice] = []
        turns: list[slice] = []
        for index in asked:
            if isinstance(index, slice):
                steps = range(*index.indices(self.shape[len(forward)]))
                turns.append(slice(None, None, -1 if steps.step < 0 else 1))
                steps = steps[::-1] if steps.step < 0 else steps
                index = slice(steps.start, steps.stop, steps.step)
            forward.append(index)
        with h5open(self.path, self.dataset, **self.options) as dataset:
            found = dataset[tuple(forward)]
        return np.asarray(found)[tuple(turns)]


_WHOLE = NDSlice(...)


class RowsAdapter(HDF5ArrayAdapter):  # type: ignore[misc]
    """Serves :class:`Rows`."""

    def read(self, slice: NDSlice = _WHOLE) -> NDArray[Any]:  # noqa: A002  Tiled's name
        """The part that is asked for."""
        rows: Rows = self._array
        return rows[tuple(slice) or (...,)]


class DatasetAdapter(HDF5Adapter):  # type: ignore[misc]
    """Tiled's own adapter, but for the case that is ours: an array out of one file."""

    @classmethod
    def from_catalog(cls, data_source: Any, node: Any, /, dataset: Any = "/", **parameters: Any) -> Any:
        """For the server."""
        made = _rows(data_source, dataset, dict(parameters)) if isinstance(dataset, str) else None
        if made is None:
            return super().from_catalog(data_source, node, dataset=dataset, **parameters)
        rows, attributes = made
        metadata = {**node.metadata_, **attributes}
        return RowsAdapter(rows, data_source.structure, metadata=metadata, specs=node.specs)


def _rows(data_source: Any, dataset: str, options: dict[str, Any]) -> tuple[Rows, dict[str, Any]] | None:
    """None where more is asked for than a part of one file's dataset as it stands."""
    if data_source.structure_family != StructureFamily.array or len(data_source.assets) != 1:
        return None
    if options.pop("slice", None) or options.pop("squeeze", None):
        return None
    path, shape = path_from_uri(data_source.assets[0].data_uri), tuple(data_source.structure.shape)
    options = {"libver": "latest", **options}
    with h5open(path, dataset, **options) as found:
        there, kind, attributes = found.shape, found.dtype, dict(found.attrs)
    if kind != data_source.structure.data_type.to_numpy_dtype() or 0 in shape or len(there) != len(shape):
        return None
    if there[1:] != shape[1:] or there[0] < shape[0]:
        return None
    texts = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    return Rows(path, dataset, shape, options), texts
