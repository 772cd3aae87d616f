"""Memory of frames that were read, kept for those that come."""

from __future__ import annotations

import sys
from functools import cache

KEPT = 64 << 20
"""Bytes that are kept free at most, where a thread has as many: what a window has of frames (``MOST_BYTES`` there)."""
FROM_SYSTEM = 32 << 20
"""Bytes of a piece that is asked of the system and goes back to it, whatever is kept; as glibc has it at its most."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)


@cache
def keep_freed() -> bool:
    """Have what frames leave used for the next ones, in this process from now on; False where it cannot be asked for.

    That is so where the C library is not glibc, or Python has no ctypes.

    By itself glibc gives the memory of a large message back to the system when it is freed, and gets it anew for the
    next one, page by page: a third of the time that it takes to receive one.
    """
    if sys.platform != "linux":
        return False
    try:
        import ctypes  # a Python may be built without

        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    except (ImportError, OSError):
        return False
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, FROM_SYSTEM)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT))
