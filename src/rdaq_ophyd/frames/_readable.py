"""What can be read in an HDF5 file whose writer may have died: counted from the file itself, chunk by chunk."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._records import COLUMNS, DATA, column_path

if TYPE_CHECKING:
    import h5py

EXIT_STATUS = "/entry/exit_status"
# What a file says whose writer ended before it could note the end.
INTERRUPTED = "interrupted"
WRITING = "writing"


@dataclass(frozen=True)
class ReadableFile:
    """A file as it can be read now.

    :param rows: dataset -> leading rows that are really in the file.
    :param declared: dataset -> rows that the dataset says it has.
    :param ours: it bears the version of our layout; what others wrote is taken at its word.
    :param exit_status: how its writer left it, where it says so.
    """

    rows: dict[str, int] = field(default_factory=dict)
    declared: dict[str, int] = field(default_factory=dict)
    ours: bool = False
    exit_status: str = ""

    @property
    def is_frames(self) -> bool:
        """Whether it is a frame file of ours, with one row a frame in every dataset of ``/entry/data``."""
        return self.ours and DATA in self.rows

    @property
    def frame_count(self) -> int:
        """Frames of a frame file of ours."""
        return self.rows.get(DATA, 0)


def read_readable(path: Path) -> ReadableFile:
    """Count the rows of every growing dataset in ``path``; also while another process writes.

    :raises OSError: HDF5 cannot open the file.
    """
    import h5py  # only where files are looked into

    with h5py.File(path, "r", swmr=True) as file:
        size = os.stat(path).st_size
        growing: dict[str, h5py.Dataset] = {}

        def note(name: str, thing: object) -> None:
            if isinstance(thing, h5py.Dataset) and thing.chunks and thing.maxshape[:1] == (None,):
                growing["/" + name] = thing

        file.visititems(note)
        declared = {name: int(dataset.shape[0]) for name, dataset in growing.items()}
        status = file[EXIT_STATUS][()].decode() if EXIT_STATUS in file else ""
        if "rdaq_layout_version" not in file.attrs:
            return ReadableFile(declared, declared, exit_status=status)
        rows = {name: _leading_rows(dataset, size) for name, dataset in growing.items()}
        together = {DATA, *map(column_path, COLUMNS)} & rows.keys()
        if DATA in together:
            rows.update(dict.fromkeys(together, _stamped(file, min(rows[name] for name in together))))
        return ReadableFile(rows, declared, True, status)


def _leading_rows(dataset: h5py.Dataset, size: int) -> int:
    """Rows up to the first one of which a part has no bytes in the file: HDF5 would invent zeros for it."""
    declared, height = int(dataset.shape[0]), dataset.chunks[0]
    parts: dict[int, int] = {}

    def count(chunk: h5py.h5d.StoreInfo) -> None:
        if chunk.byte_offset + chunk.size <= size:
            parts[chunk.chunk_offset[0] // height] = parts.get(chunk.chunk_offset[0] // height, 0) + 1

    if declared:
        dataset.id.chunk_iter(count)
    tiles = zip(dataset.shape[1:], dataset.chunks[1:], strict=True)
    across = math.prod(-(-length // chunk) for length, chunk in tiles)
    whole: int = 0
    while parts.get(whole, 0) >= across and whole * height < declared:
        whole += 1
    return min(declared, whole * int(height))


def _stamped(file: h5py.File, rows: int) -> int:
    """Rows up to the first without a time stamp: room was made for it, and its values never came."""
    empty = np.flatnonzero(file[column_path("timestamps")][:rows] == 0)
    return int(empty[0]) if empty.size else rows


def note_end(path: Path, readable: ReadableFile) -> None:
    """Cut every dataset back to what is there, and note that the writer ended early; the file bears no mark any more.

    Done in SWMR mode, so that a crash in the middle of it harms nothing.

    :raises OSError: HDF5 cannot write the file.
    """
    cut = [name for name, rows in readable.rows.items() if rows < readable.declared[name]]
    unsaid = readable.ours and readable.exit_status == WRITING
    if not cut and not unsaid:
        return
    import h5py

    with h5py.File(path, "r+", libver="latest") as file:
        file.swmr_mode = True
        for name in cut:
            file[name].id.set_extent((readable.rows[name], *file[name].shape[1:]))
        if unsaid:
            file[EXIT_STATUS][()] = INTERRUPTED.encode()
