"""A new HDF5 file: made where it can be locked, or refused in words; a half-made one leaves nothing behind."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdaq_ophyd.errors import DataDirectoryError

from ._mount import tell_of_network

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger(__name__)
# HDF5's words when flock(2) fails for another reason than ENOSYS, which it passes over (H5FDsec2.c).
_UNLOCKED = "unable to lock file"


def create_file(path: Path, **options: Any) -> h5py.File:
    """Create ``path``, which must not exist.

    :param options: of ``h5py.File``.
    :raises DataDirectoryError: its file system gives no locks.
    :raises OSError: as HDF5 meets it.
    """
    import h5py  # only where files are made

    try:
        file = h5py.File(path, "x", libver="latest", **options)
    except OSError as error:
        if _UNLOCKED not in str(error):
            raise
        path.unlink(missing_ok=True)  # made by this call, and empty
        raise DataDirectoryError(
            f"{path} cannot be locked: {_reason(error)}",
            hint="write frames to a local disk, or mount the network one with locks; to do without, set "
            "HDF5_USE_FILE_LOCKING=FALSE for this and every program that opens the files",
        ) from error
    tell_of_network(path)
    return file


def _reason(error: OSError) -> str:
    return str(error).partition("error message = '")[2].partition("'")[0] or str(error)


def discard_file(file: h5py.File, path: Path) -> None:
    """Close and remove a file that could not be finished; why it could not is for the caller to raise."""
    try:
        file.close()
    except (OSError, RuntimeError, ValueError) as error:  # a full disk fails a second time
        logger.debug("%s: closing it failed as well: %s", path, error)
    with contextlib.suppress(OSError):  # its folder went, or turned read-only
        path.unlink()
