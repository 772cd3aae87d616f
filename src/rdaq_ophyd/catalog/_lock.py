"""A lock that a process holds as long as it lives, and that the system takes back when it dies."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

from rdaq_ophyd.errors import DataDirectoryError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


# What a lock that another process holds answers; EACCES where locks are made with fcntl or on Windows.
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
# is_held() takes a free lock for an instant; acquire() must not take that for a holder.
_ATTEMPTS = 5
_BETWEEN = 0.01


class ProcessLock:
    """An exclusive lock on a file of its own; never deleted by the lock itself.

    :param path: the lock file; made when absent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False when another holder has it. Taking it twice is harmless.

        :raises DataDirectoryError: the file system knows no locks: two sessions could not tell each other apart.
        """
        if self._descriptor is not None:
            return True
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_BETWEEN)
            if self._try():
                return True
        return False

    def _try(self) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _HELD:
                return False
            raise DataDirectoryError(
                f"no file can be locked in {str(self.path.parent)!r} ({error.strerror or error})",
                hint="put the data directory on a local disk, or mount the network one with locks",
            ) from error
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock at ``path``."""
    if not path.exists():
        return False
    lock = ProcessLock(path)
    free = lock._try()
    lock.release()
    return not free
