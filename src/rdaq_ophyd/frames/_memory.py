"""Memory for a camera's frames: on large pages where the system has them, and touched before the first frame.

A frame that is copied to the kernel, or gone through for its statistics, is read from end to end; on pages of 4 KiB the
processor looks two thousand addresses up for 8 MiB. And memory that nobody has touched is not there yet: the system
makes each page as the camera's first frames arrive, and they are late, or lost.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LARGE_PAGE = 2 << 20
"""Bytes of a transparent huge page on x86-64, and on arm64 with pages of 4 KiB (Linux, admin-guide/mm/transhuge)."""
# madvise(2), Linux 5.14 and newer: make these pages now. Python has no name for it yet.
_POPULATE_WRITE = 23


def frame_memory(nbytes: int) -> NDArray[np.uint8]:
    """Memory for one frame, ``nbytes`` bytes that are there already; what stands in them is not told.

    From 2 MiB on it begins on a large page (Linux). It is given back when the array and all views on it are gone.

    :raises MemoryError: there is not so much.
    :raises ValueError: ``nbytes`` is not positive.
    """
    if nbytes < 1:
        raise ValueError(f"a frame has at least 1 byte, not {nbytes}")
    if sys.platform == "linux" and nbytes >= LARGE_PAGE:
        return _on_large_pages(nbytes)
    memory = np.empty(nbytes, np.uint8)
    memory[:: mmap.PAGESIZE] = 0
    return memory


def frame_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of :func:`frame_memory`."""
    kind = np.dtype(dtype)
    return frame_memory(int(np.prod(shape)) * kind.itemsize).view(kind).reshape(shape)


def _on_large_pages(nbytes: int) -> NDArray[np.uint8]:
    try:
        # Room for a beginning on a large page; what is not touched takes addresses, but no memory.
        mapped = mmap.mmap(-1, nbytes + LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no memory for a frame of {nbytes} bytes: {error.strerror}") from error
    whole = np.frombuffer(mapped, np.uint8)
    begin = -whole.ctypes.data % LARGE_PAGE
    memory = whole[begin : begin + nbytes]
    with contextlib.suppress(OSError):  # a kernel without them gives ordinary pages
        mapped.madvise(mmap.MADV_HUGEPAGE, begin, nbytes // LARGE_PAGE * LARGE_PAGE)
    try:
        mapped.madvise(_POPULATE_WRITE, begin, nbytes)
    except OSError:  # a kernel that does not know that yet: touch each page
        memory[:: mmap.PAGESIZE] = 0
    return memory
