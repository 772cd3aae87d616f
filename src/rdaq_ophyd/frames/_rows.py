"""A growing dataset whose last chunk is kept in memory and written whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py


class Rows:
    """Rows of one shape; created before SWMR goes on.

    :param group: where it stands.
    :param shape: of a row; () for a number.
    :param chunk: rows in a chunk.
    :param attributes: of the dataset; empty ones are left out.
    """

    def __init__(
        self, group: h5py.Group, name: str, shape: tuple[int, ...], dtype: str, chunk: int, **attributes: str
    ) -> None:
        self.dataset = group.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(chunk, *shape))
        self.dataset.attrs.update({key: value for key, value in attributes.items() if value})
        self._shape, self._per_chunk = shape, chunk
        self._chunk = np.zeros((chunk, *shape), dtype)
        self._rows = 0
        self._dirty = self._stale = False

    def append(self, row: Any) -> None:
        """Add a row; it is in the file after ``commit``."""
        self._load()
        self._chunk[self._rows % self._per_chunk] = row
        self._rows += 1
        self._dirty = True
        if self._rows % self._per_chunk == 0:
            self.commit()

    def extend(self, rows: Sequence[Any] | NDArray[Any]) -> None:
        """Add some; they are in the file after ``commit``.

        :raises OverflowError, ValueError, TypeError: one is none of the dataset's kind; nothing is added.
        """
        self._load()
        new = np.asarray(rows, self._chunk.dtype)
        while len(new):
            at = self._rows % self._per_chunk
            part, new = new[: self._per_chunk - at], new[self._per_chunk - at :]
            self._chunk[at : at + len(part)] = part
            self._rows += len(part)
            self._dirty = True
            if self._rows % self._per_chunk == 0:
                self.commit()

    def commit(self) -> None:
        """Write the last chunk, as far as it is filled."""
        if not self._dirty:
            return
        start = (self._rows - 1) // self._per_chunk * self._per_chunk
        self.dataset.id.set_extent((self._rows, *self._shape))
        self.dataset.id.write_direct_chunk((start, *(0 for _ in self._shape)), self._chunk)
        self._dirty = False
        if self._rows % self._per_chunk == 0:
            self._chunk[:] = 0

    def truncate(self, rows: int) -> None:
        """Take rows back; the next ones are written over them."""
        self.commit()
        if rows >= self._rows:
            return
        self.cut(rows)

    def cut(self, rows: int) -> None:
        """Shorten the dataset to ``rows`` without reading it: after a failed write."""
        self._rows, self._dirty, self._stale = rows, False, True
        self.dataset.id.set_extent((rows, *self._shape))

    def _load(self) -> None:
        """Read the last chunk again, where rows of it were taken back."""
        if self._stale:
            kept = self.dataset[self._rows // self._per_chunk * self._per_chunk :]
            self._chunk[:] = 0
            self._chunk[: len(kept)] = kept
            self._stale = False
