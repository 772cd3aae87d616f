"""The working folder of a script: locked by the rig for as long as that lives, removed by the next one if it died."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)
PREFIX = "rdaq-script-1-"
"""With the version of what is said here: who makes folders of another one may not lock them."""
MARK = "RDAQ_SCRIPT"
"""Variable of the environment by which whatever a script began is found: ``PID OF THE RIG:FOLDER``."""


class Folder:
    """A new folder among the temporary ones.

    :raises OSError: it cannot be made.
    :ivar path: of it.
    """

    def __init__(self) -> None:
        while True:
            self.path = tempfile.mkdtemp(prefix=PREFIX)
            # Another rig that is just tidying up may have taken it for an old one in this moment.
            if (held := _lock(self.path)) is not None:
                break
        self._held = held

    @property
    def mark(self) -> str:
        """What :data:`MARK` says in all processes that use it."""
        return f"{os.getpid()}:{self.path}"

    def remove(self) -> None:
        """With all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


def remove_left() -> list[str]:
    """Remove the folders that rigs left behind which were killed, and end whatever still uses them.

    A folder whose rig lives is locked. Those of other users are let alone.

    :return: what was removed.
    """
    return [str(path) for path in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")) if _remove(path)]


def _remove(path: Path) -> bool:
    try:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        held = _lock(str(path))
    except OSError:  # gone in this moment; or a file system without locks, where nobody knows
        return False
    if held is None:
        return False
    try:
        _end_users(str(path))
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(held)
    if path.exists():
        logger.warning("%s: a script left it behind, and it cannot be removed", path)
        return False
    logger.info("%s: a script left it behind; removed", path)
    return True


def _lock(folder: str) -> int | None:
    """A descriptor that holds the folder; None where another process does, or has removed it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(folder)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _end_users(folder: str) -> None:
    for number in _users(folder):
        logger.warning("a process that a script left behind is ended: %d", number)
        with contextlib.suppress(OSError):  # it has just ended
            os.kill(number, signal.SIGKILL)


def _users(folder: str) -> Iterator[int]:
    begin, end = f"{MARK}=".encode(), f":{folder}".encode()
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            said = place.read_bytes().split(b"\0")
        except OSError:  # another user's, or over
            continue
        if any(word.startswith(begin) and word.endswith(end) for word in said):
            yield int(place.parent.name)
