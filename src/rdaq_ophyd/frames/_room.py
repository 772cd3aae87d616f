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
"""Bytes that are taken at once, at most, besides those of the frames that come now. To take them takes 0.2 ms with
ext4; larger pieces gain nothing."""
PLENTY = 32 * STEP
"""Bytes that stay free where room is taken ahead: on a disk that is nearly full each file takes what it fills."""
KEEP_SIZE = 1
"""fallocate(2): the file does not seem any longer to those who read it."""


class RoomAhead:
    """Of one file that grows; what was not filled is given back before it is closed.

    Without it ext4 reserves room for each block of 4 KiB as it is written, a third of the time that a frame takes into
    the page cache. Where that cannot be had, nothing is done: another system than Linux, a file system that knows no
    such thing, a disk that is nearly full. No error of it reaches whoever writes.

    :param file: open for writing; its other users see its size unchanged.
    :ivar until: byte of the file up to which there is room.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._take = fallocate()
        self._asked = False
        self.until = 0

    def ensure(self, more: int) -> None:
        """Have room for so many bytes behind the end, and in a long file for some that will come."""
        if self._take is None:
            return
        try:
            size: int = self._file.id.get_filesize()
            if size + more > self.until:
                self._extend(self._take, size, more)
        except (OSError, RuntimeError) as error:  # HDF5's are of both kinds
            logger.debug("%s: no room is taken ahead: %s", self._file.filename, error)
            self._take = None

    def _extend(self, take: Callable[[int, int, int, int], int], size: int, more: int) -> None:
        handle = self._file.id.get_vfd_handle()
        begin = max(size, self.until)
        length = size + more - begin + min(size, STEP)  # a short file takes little
        free = os.fstatvfs(handle)
        if free.f_bavail * free.f_frsize < PLENTY + length:
            return
        self._asked = True
        error = take(handle, KEEP_SIZE, begin, length)
        if not error:
            self.until = begin + length
        elif error != errno.EINTR:  # a signal: for once
            self.give_back()  # a part of it may be taken
            raise OSError(error, os.strerror(error))

    def give_back(self) -> None:
        """Give back what was not filled, while the file is still open: nobody else may make it longer."""
        if not self._asked or not self._file:
            return
        try:
            handle = self._file.id.get_vfd_handle()
            os.ftruncate(handle, os.fstat(handle).st_size)
        except (OSError, RuntimeError) as error:  # the data is there, and whole
            logger.warning("%s: room behind its end stays taken on the disk: %s", self._file.filename, error)


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
