"""How our Tiled reads a dataset of an HDF5 file: the asked-for part alone, whatever the length of the rest.

Tiled's own adapter makes a task of each chunk in the file before it reads any: half a second for each request where the
file has 100 000 frames. And it joins files of one data key as long as they are, whatever documents tell of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.adapters.hdf5 import HDF5Adapter, HDF5ArrayAdapter, h5open
from tiled.ndslice import NDSlice
from tiled.structures.core import StructureFamily
from tiled.utils import path_from_uri

from ._told_rows import told_rows


@dataclass(frozen=True)
class Rows:
    """The leading rows of a dataset: a file that grows may have more by now.

    :param options: for h5py.
    """

    path: Path
    dataset: str
    count: int
    options: dict[str, Any]

    def read(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """A part of them, steps forwards."""
        with h5open(self.path, self.dataset, **self.options) as dataset:
            return np.asarray(dataset[index])


class Stack:
    """Rows of one file, or of several one behind the other, read as they are asked for.

    It is the part of an array that Tiled's adapter uses.
    """

    def __init__(self, files: Sequence[Rows], shape: tuple[int, ...]) -> None:
        self.files, self.shape = files, shape

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        forward: list[int | slice] = []
        turns: list[slice] = []
        for index in NDSlice(*key).expand_for_shape(self.shape):
            if isinstance(index, slice):
                steps = range(*index.indices(self.shape[len(forward)]))
                turns.append(slice(None, None, -1 if steps.step < 0 else 1))
                steps = steps[::-1] if steps.step < 0 else steps
                index = slice(steps.start, steps.stop, steps.step)
            forward.append(index)
        rows, inner = forward[0], tuple(forward[1:])
        parts = [file.read((part, *inner)) for file, part in self._parts(rows)]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts))[tuple(turns)]

    def _parts(self, rows: int | slice) -> Iterator[tuple[Rows, int | slice]]:
        """What to read of which file; at least of one."""
        first, found = 0, False
        for file in self.files:
            if isinstance(rows, int):
                if first <= rows < first + file.count:
                    yield file, rows - first
            else:
                # The first step at or behind the beginning of this file.
                begin = rows.start + max(0, -(-(first - rows.start) // rows.step)) * rows.step
                end = min(rows.stop, first + file.count)
                if begin < end:
                    found = True
                    yield file, slice(begin - first, end - first, rows.step)
            first += file.count
        if isinstance(rows, slice) and not found:
            yield self.files[0], slice(0, 0)


_WHOLE = NDSlice(...)


class StackAdapter(HDF5ArrayAdapter):  # type: ignore[misc]
    """Serves a :class:`Stack`."""

    def read(self, slice: NDSlice = _WHOLE) -> NDArray[Any]:  # noqa: A002  Tiled's name
        """The part that is asked for."""
        stack: Stack = self._array
        return stack[tuple(slice) or (...,)]


class DatasetAdapter(HDF5Adapter):  # type: ignore[misc]
    """Tiled's own adapter, but for what our devices write: an array in one file, or in files whose rows are known."""

    @classmethod
    def from_catalog(cls, data_source: Any, node: Any, /, dataset: Any = "/", **parameters: Any) -> Any:
        """For the server."""
        made = _stack(data_source, dataset, dict(parameters)) if isinstance(dataset, str) else None
        if made is None:
            return super().from_catalog(data_source, node, dataset=dataset, **parameters)
        stack, attributes = made
        metadata = {**node.metadata_, **attributes}
        return StackAdapter(stack, data_source.structure, metadata=metadata, specs=node.specs)


def _stack(data_source: Any, dataset: str, options: dict[str, Any]) -> tuple[Stack, dict[str, Any]] | None:
    """With the attributes of the first dataset; None where more is asked for or a file is not as described."""
    if data_source.structure_family != StructureFamily.array:
        return None
    if options.pop("slice", None) or options.pop("squeeze", None):
        return None
    shape = tuple(data_source.structure.shape)
    assets = sorted(data_source.assets, key=lambda asset: asset.num or 0)
    told = shape[:1] if len(assets) == 1 else told_rows(data_source)
    if not assets or len(told) != len(assets) or sum(told) != shape[0] or 0 in shape:
        return None
    options = {"libver": "latest", **options}
    kind, attributes = data_source.structure.data_type.to_numpy_dtype(), {}
    files = [Rows(path_from_uri(a.data_uri), dataset, n, options) for a, n in zip(assets, told, strict=True)]
    for file in reversed(files):
        with h5open(file.path, dataset, **options) as found:
            there, attributes = found.shape, dict(found.attrs)
            if found.dtype != kind or len(there) != len(shape) or there[1:] != shape[1:] or there[0] < file.count:
                return None
    texts = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    return Stack(files, shape), texts
