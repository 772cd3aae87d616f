"""Chunks into an HDF5 file without Python's lock.

h5py keeps that lock (the GIL) while HDF5 copies a chunk to the kernel, some milliseconds a frame. In that time no other
thread takes a frame from its camera, and no event loop turns. HDF5's own function is the same; what h5py guards besides
the GIL is guarded here too: its lock ``phil`` keeps two threads from being in HDF5 at once.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from typing import Any

import h5py
import numpy as np
from h5py._objects import phil

from ._compression import Chunk

logger = logging.getLogger(__name__)
# HDF5 1.10 and newer: herr_t H5Dwrite_chunk(hid_t, hid_t, uint32_t, const hsize_t *, size_t, const void *).
_ARGUMENTS = (
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_uint32,
    ctypes.POINTER(ctypes.c_uint64),
    ctypes.c_size_t,
    ctypes.c_void_p,
)
_DEFAULT = 0  # H5P_DEFAULT


@cache
def _write_function() -> Any:
    """``H5Dwrite_chunk`` of the HDF5 that h5py itself uses; None where the system does not find it that way."""
    try:
        # A module of h5py: the system looks for the name in the libraries that it was linked with, too.
        function = ctypes.CDLL(h5py.h5d.__file__).H5Dwrite_chunk
    except (AttributeError, OSError) as error:  # Windows looks in the module alone
        logger.info("frames are written with Python's lock held: %s", error)
        return None
    function.argtypes, function.restype = _ARGUMENTS, ctypes.c_int
    return function


def write_chunk(dataset: h5py.h5d.DatasetID, offset: tuple[int, ...], chunk: Chunk) -> None:
    """As ``dataset.write_direct_chunk(offset, chunk)``.

    :param chunk: C-contiguous; what stands in the file afterwards, byte by byte.
    :raises OSError: as HDF5 meets it.
    :raises ValueError: the chunk is not contiguous.
    """
    function = _write_function()
    if function is None:
        dataset.write_direct_chunk(offset, chunk)
        return
    if not memoryview(chunk).c_contiguous:
        raise ValueError("a chunk must be C-contiguous")
    data = np.frombuffer(chunk, np.uint8) if isinstance(chunk, bytes) else chunk
    place = (ctypes.c_uint64 * len(offset))(*offset)
    with phil:
        failed = function(dataset.id, _DEFAULT, 0, place, data.nbytes, data.ctypes.data) < 0
    if failed:
        dataset.write_direct_chunk(offset, chunk)  # fails again, and says why; or there is room by now
