"""Room on the disk, taken ahead of the frames in large pieces: the kernel need not look for it block by block."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger(__name__)
STEP = 64 << 20
"""Bytes that are taken at once, at most. To take them takes 0.2 ms with ext4; larger pieces gain nothing."""
PLENTY = 32 * STEP
"""Bytes that are free at least where room is taken ahead: on a disk that is nearly full each file takes what it
fills."""
KEEP_SIZE = 1
"""fallocate(2): the file does not seem any longer to those who read it."""


class RoomAhead:
    """Of one file that grows; room that was not filled is given back as it is closed.

    Without it ext4 reserves room for each block of 4 KiB as it is written, a third of the time that a frame takes into
    the page cache. Where the system or the file system knows no such thing (it is Linux's), nothing is done.

    :param file: open for writing; its other users see its size unchanged.
    :ivar until: byte of the file up to which there is room.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._take = fallocate()
        self._held: int | None = None
        self.until = 0

    def ensure(self, more: int) -> None:
        """Have room for so many bytes behind the end; and in a long file, for some that will come."""
        if self._take is None:
            return
        size: int = self._file.id.get_filesize()
        if size + more > self.until:
            self._extend(size, size + more)

    def _extend(self, size: int, end: int) -> None:
        if self._held is None:
            self._held = os.dup(self._file.id.get_vfd_handle())
        free = os.fstatvfs(self._held)
        if free.f_bavail * free.f_frsize < PLENTY:
            return
        begin = max(size, self.until)
        length = max(end - begin, min(size, STEP))  # at most as much again as there is: a short file takes little
        assert self._take is not None
        error = self._take(self._held, KEEP_SIZE, begin, length)
        if error == errno.EINTR:
            return  # for once
        if error:
            logger.debug("%s: no room is taken ahead: %s", self._file.filename, os.strerror(error))
            self._take = None
        else:
            self.until = begin + length

    def give_back(self) -> None:
        """Give back what was not filled; after the file was closed. Idempotent."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            os.ftruncate(held, os.fstat(held).st_size)
        except OSError as error:  # the data is there, and whole
            logger.warning("up to %d bytes behind the end of a file stay taken: %s", STEP, error)
        finally:
            os.close(held)


@cache
def fallocate() -> Callable[[int, int, int, int], int] | None:
    """Takes room in a file (descriptor, mode, begin, length); the number of the error, or 0. None: there is none."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)  # musl has the one alone
    if function is None:
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]

    def take(handle: int, mode: int, begin: int, length: int) -> int:
        return ctypes.get_errno() if function(handle, mode, begin, length) else 0

    return take
