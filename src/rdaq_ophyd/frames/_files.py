"""Where frames go: the directory, the file's name, and whether there is room."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ophyd_async.core import PathInfo

from rdaq_ophyd.streams import data_directory_error, ensure_room

__all__ = ["data_directory_error", "forecast", "frame_file"]

# Besides pixels: the file's own structures (measured: 64 KiB), and per frame its scalars and the gap to the next page.
_FILE_BYTES = 1 << 20
_FRAME_BYTES = 256 + 4096


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
    hint = "take fewer frames, a smaller region or Mono8, free space, or choose another data directory"
    ensure_room(needed, directory / "frames.h5", f"{frames} frames", hint)
    return needed
