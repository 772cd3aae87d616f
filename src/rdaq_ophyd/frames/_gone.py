"""A file that loses its name while it is written: noticed, and put back from what the system still has of it."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rdaq_ophyd.errors import DataDirectoryError

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger(__name__)
_LEAVE = "leave the folders of a run alone until it has ended"
_COPY = 1 << 20


def ensure_named(file: h5py.File) -> None:
    """Make sure that the open file still has a name, at the cost of one system call.

    :raises DataDirectoryError: it was removed; whatever is written now would be gone with the process.
    """
    if sys.platform != "win32" and os.fstat(file.id.get_vfd_handle()).st_nlink == 0:  # Windows removes no open file
        raise DataDirectoryError(
            f"{file.filename} was removed while it was written",
            hint=f"what it holds is put back as it is closed, if there is room; {_LEAVE}",
        )


def close_file(file: h5py.File, *, keep: bool) -> None:
    """Close the file; if its name was removed, make it anew with all that is in it. Idempotent.

    :param keep: False for a file that holds nothing worth it.
    :raises DataDirectoryError: it is not where documents say that it is; tells where, or that it is lost.
    """
    if not file:
        return
    if not keep or sys.platform == "win32":
        file.close()
        return
    path, held = Path(file.filename), os.dup(file.id.get_vfd_handle())
    try:
        file.close()
        _restore(held, path)
    finally:
        os.close(held)


def _restore(held: int, path: Path) -> None:
    has = os.fstat(held)
    try:
        other = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        other = None
    if other is not None and os.path.samestat(has, other):
        return
    if has.st_nlink:
        raise DataDirectoryError(
            f"{path} was moved, or its disk taken away, while it was written{_whereabouts(held)}",
            hint=f"put it back: the run's documents tell of the old place; {_LEAVE}",
        )
    target = path if other is None else path.with_name(f"{path.stem}-restored{path.suffix}")
    try:
        _copy(held, has.st_size, target)
    except OSError as error:
        raise DataDirectoryError(
            f"{path} was removed while it was written, and its {has.st_size} bytes cannot be put back "
            f"({error.strerror or error})",
            hint=f"these frames are lost; {_LEAVE}",
        ) from error
    if target != path:
        raise DataDirectoryError(
            f"{path} was removed while it was written, and another file has its name; it is kept as {target}",
            hint=f"give it its name back: the run's documents tell of that; {_LEAVE}",
        )
    logger.error("%s was removed while it was written; it is put back, whole (%d bytes): %s", path, has.st_size, _LEAVE)


def _whereabouts(held: int) -> str:
    try:
        return f"; it is now {os.readlink(f'/proc/self/fd/{held}')}"
    except OSError:  # no /proc here
        return ""


def _copy(held: int, size: int, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise OSError(None, f"{free} bytes are free")
    with target.open("xb") as copy, open(held, "rb", closefd=False) as source:
        try:
            source.seek(0)
            shutil.copyfileobj(source, copy, _COPY)
            copy.flush()
        except BaseException:
            target.unlink()  # a part of an HDF5 file is none
            raise
