"""Columns of an export: whole ones, and long ones that are read a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Lazy:
    """A column that is read where it is needed; the part of ``pyarrow.Array`` that a table's blocks use.

    :param length: rows.
    :param type: Arrow's type.
    :param read: rows from, up to.
    """

    length: int
    type: Any
    read: Callable[[int, int], Any]

    def __len__(self) -> int:
        return self.length

    def slice(self, start: int, count: int) -> Any:
        """So many rows from ``start`` on."""
        return self.read(start, start + count)


def counted(rows: int) -> Lazy:
    """1, 2, 3 …"""
    import pyarrow as pa

    return Lazy(rows, pa.int64(), lambda start, stop: pa.array(np.arange(start + 1, stop + 1)))


def column_of(node: Any) -> Any:
    """The column of an array in the catalog: numbers, or rows of numbers, are read a block at a time."""
    import pyarrow as pa

    dtype: np.dtype[Any] | None = getattr(node, "dtype", None)
    shape: tuple[int, ...] = tuple(getattr(node, "shape", ()))
    if dtype is None or dtype.kind not in "biuf" or len(shape) not in (1, 2) or 0 in shape:
        return array_of(node.read())
    kind = pa.from_numpy_dtype(dtype.newbyteorder("="))
    if len(shape) == 2:
        kind = pa.list_(kind, shape[1])
    return Lazy(shape[0], kind, lambda start, stop: array_of(np.asarray(node[start:stop])))


def array_of(values: Any) -> Any:
    """A column of numbers, of lists of fixed size, or of tensors; of lists of any size where rows differ."""
    import pyarrow as pa

    if not isinstance(values, np.ndarray):
        to_list = getattr(values, "to_list", None) or values.tolist
        return pa.array(to_list())
    if values.dtype.kind not in "biuf":
        return pa.array(values.tolist() if values.ndim > 1 else values)
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    if values.ndim == 1:
        return pa.array(values)
    size = int(np.prod(values.shape[1:]))
    storage = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), size)
    if values.ndim == 2:
        return storage
    kind = pa.fixed_shape_tensor(storage.type.value_type, values.shape[1:])
    return pa.ExtensionArray.from_storage(kind, storage)


def described_type(column: Any, data_key: Mapping[str, Any]) -> Any:
    """The number type that the device described, where it holds every value: the catalog widens some to float64.

    A column that is read in blocks has the type of its file.
    """
    import pyarrow as pa

    if isinstance(column, Lazy):
        return column
    wanted = data_key.get("dtype_numpy")
    if not isinstance(wanted, str) or data_key.get("dtype") not in ("number", "integer", "boolean"):
        return column
    try:
        return column.cast(pa.from_numpy_dtype(np.dtype(wanted).newbyteorder("=")))
    except (pa.ArrowException, TypeError):
        return column


def whole_array(column: Any) -> Any:
    """A column of a table as one array."""
    import pyarrow as pa

    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def padded(column: Any, start: int, count: int) -> Any:
    """So many rows from ``start`` on, with nulls where the column has ended."""
    import pyarrow as pa

    there = max(0, min(count, len(column) - start))
    found = column.slice(start, there) if there else pa.nulls(0, column.type)
    if there == count:
        return found
    if isinstance(column.type, pa.BaseExtensionType):
        storage = pa.concat_arrays([found.storage, pa.nulls(count - there, column.type.storage_type)])
        return pa.ExtensionArray.from_storage(column.type, storage)
    return pa.concat_arrays([found, pa.nulls(count - there, column.type)])
