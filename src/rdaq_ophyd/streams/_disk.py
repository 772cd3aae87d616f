"""What a disk says, in words; and whether there is room on it."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

from rdaq_ophyd.errors import DataDirectoryError

_MIB = 1 << 20


def data_directory_error(error: BaseException, path: Path) -> DataDirectoryError:
    """What a failed write to ``path`` means for the person at the instrument."""
    if isinstance(error, DataDirectoryError):
        return error
    code = getattr(error, "errno", None)
    text = " ".join(str(error).split())
    if code is None and (found := re.search(r"errno = (\d+)", text)):  # HDF5 puts it into its own message
        code = int(found.group(1))
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DataDirectoryError(
            f"no room left for {path} ({os.strerror(code)})",
            hint="free space or choose another data directory; the frames written before are readable",
        )
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DataDirectoryError(
            f"no permission to write {path}", hint="change the directory's owner or choose another data directory"
        )
    if code == errno.EEXIST:
        return DataDirectoryError(
            f"{path} exists already, and frames are never written over",
            hint="use file names that differ each time (UUIDFilenameProvider), or move the old file away",
        )
    if code in (errno.ENOENT, errno.ENOTDIR) or not path.parent.is_dir():
        return DataDirectoryError(
            f"the data directory {path.parent} does not exist (any more)",
            hint="is the disk mounted? create the directory, or choose another one",
        )
    return DataDirectoryError(f"writing {path} failed: {text}", hint="check the disk; `rdaq doctor` tests it")


def ensure_room(needed: int, path: Path, what: str, hint: str) -> None:
    """Make sure that there is room for a file.

    :param needed: bytes.
    :param path: of the file, or any other in its directory.
    :param what: is to be in it, for the message.
    :raises DataDirectoryError: there is less room, naming both sizes; or the directory is gone.
    """
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise data_directory_error(error, path) from error
    if needed > free:
        raise DataDirectoryError(
            f"{what} need {needed / _MIB:.0f} MiB, {path.parent} has {free / _MIB:.0f} MiB free", hint=hint
        )
