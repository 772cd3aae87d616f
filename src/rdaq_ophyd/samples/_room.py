"""Whether there is room for what is about to be recorded."""

from __future__ import annotations

from pathlib import Path

from rdaq_ophyd.streams import ensure_room

from ._format import BlockFormat
from ._records import COLUMNS, chunk_blocks
from ._ring import STATISTICS

# The file's own structures, and those of a chunk of samples in HDF5's index.
_FILE_BYTES, _CHUNK_BYTES = 1 << 20, 64


def size_of(blocks: int, form: BlockFormat) -> int:
    """Bytes that so many blocks take in a file."""
    channels = len(form.channels)
    numbers = 8 * (channels * len(STATISTICS) + len(COLUMNS))
    chunks = -(-blocks // chunk_blocks(form)) * channels
    return blocks * (form.nbytes + numbers) + chunks * _CHUNK_BYTES + _FILE_BYTES


def check_room(blocks: int, form: BlockFormat, directory: Path) -> None:
    """Make sure that so many blocks fit into a directory.

    :raises DataDirectoryError: naming the needed and the free size; or the directory is gone.
    """
    what = f"{blocks} blocks of {form.samples} samples of {len(form.channels)} channels"
    hint = "record for a shorter time, at a lower rate or fewer channels, or free space there"
    ensure_room(size_of(blocks, form), directory / "samples.h5", what, hint)
