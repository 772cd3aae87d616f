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


def frame_memory(nbytes: int) -> NDArray[np.uint8]:
    """Memory for one frame, ``nbytes`` bytes that are there already; what stands in them is not told.

    It begins on a page, from 2 MiB on (Linux) on a large one. It is given back when the array and all views on it are
    gone.

    :raises MemoryError: the system refuses so much.
    :raises ValueError: ``nbytes`` is not positive.
    """
    if nbytes < 1:
        raise ValueError(f"a frame has at least 1 byte, not {nbytes}")
    if sys.platform == "linux" and nbytes >= LARGE_PAGE:
        memory = _on_large_pages(nbytes)
    else:
        memory = _from(np.empty(nbytes + mmap.PAGESIZE, np.uint8), mmap.PAGESIZE, nbytes)
    # Not by madvise(MADV_POPULATE_WRITE): Python calls that with its lock held, and 128 MiB can take 0.2 s.
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
    memory = _from(whole, LARGE_PAGE, nbytes)
    with contextlib.suppress(OSError):  # a kernel without them gives ordinary pages
        begin = memory.ctypes.data - whole.ctypes.data
        mapped.madvise(mmap.MADV_HUGEPAGE, begin, nbytes // LARGE_PAGE * LARGE_PAGE)
    return memory


def _from(whole: NDArray[np.uint8], boundary: int, nbytes: int) -> NDArray[np.uint8]:
    """The part of it that begins at the first address which is a multiple of ``boundary``."""
    begin = -whole.ctypes.data % boundary
    return whole[begin : begin + nbytes]
