"""Whether there is room for what is about to be recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

from rdaq_ophyd.errors import DataDirectoryError
from rdaq_ophyd.frames import data_directory_error

from ._format import BlockFormat
from ._records import COLUMNS, chunk_blocks
from ._ring import STATISTICS

# The file's own structures, and those of a chunk of samples in HDF5's index.
_FILE_BYTES, _CHUNK_BYTES = 1 << 20, 64
_MIB = 1 << 20


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
    needed = size_of(blocks, form)
    try:
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise data_directory_error(error, directory / "samples.h5") from error
    if needed > free:
        raise DataDirectoryError(
            f"{blocks} blocks of {form.samples} samples of {len(form.channels)} channels need {needed / _MIB:.0f} MiB, "
            f"{directory} has {free / _MIB:.0f} MiB free",
            hint="record for a shorter time, at a lower rate or fewer channels, or free space there",
        )
