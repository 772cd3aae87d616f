"""Where frames go: the directory, the file's name, and whether there is room."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

from ophyd_async.core import PathInfo

from rdaq_ophyd.errors import DataDirectoryError

# Besides pixels: the file's own structures (measured: 64 KiB), and per frame its scalars and the gap to the next page.
_FILE_BYTES = 1 << 20
_FRAME_BYTES = 256 + 4096
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


def frame_file(info: PathInfo, suffix: str = ".h5") -> Path:
    """The path that ``info`` names, with its directories made as deep as it allows; the file itself is not made.

    :raises DataDirectoryError: the directory cannot be made or written, or the file exists.
    """
    path = Path(info.directory_path) / f"{info.filename}{suffix}"
    directory = path.parent
    try:
        if info.create_dir_depth:
            parts = len(directory.parts)
            keep = parts + info.create_dir_depth if info.create_dir_depth < 0 else info.create_dir_depth + 1
            root = Path(*directory.parts[: max(1, keep)])
            if not root.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(root))
            directory.mkdir(parents=True, exist_ok=True)
        if not directory.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(directory))
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    except OSError as error:
        raise data_directory_error(error, path) from error
    return path


def forecast(frames: int, frame_bytes: int, directory: Path) -> int:
    """Bytes that ``frames`` frames will take in ``directory``; compare with the room there before a stack starts.

    :param frames: number of frames.
    :param frame_bytes: bytes of one.
    :raises DataDirectoryError: there is less room, naming both sizes, or the directory is gone.
    """
    needed = frames * (frame_bytes + _FRAME_BYTES) + _FILE_BYTES
    try:
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise data_directory_error(error, directory / "frames.h5") from error
    if needed > free:
        raise DataDirectoryError(
            f"{frames} frames need {needed / _MIB:.0f} MiB, {directory} has {free / _MIB:.0f} MiB free",
            hint="take fewer frames, a smaller region or Mono8, free space, or choose another data directory",
        )
    return needed
