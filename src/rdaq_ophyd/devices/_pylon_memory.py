"""Grab buffers for pylon out of memory that is fit for frames, and kept from one acquisition to the next.

pylon itself takes ordinary memory at each start and gives it back at each stop.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.frames import frame_memory


class GrabMemory:
    """The buffers of one camera. pylon calls it from its own threads, too, with Python's lock held.

    Without a lock of its own: a frame that is collected within a call gives its buffer back from the same thread.

    :param most: buffers that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free: list[NDArray[np.uint8]] = []
        self._wanted = 0
        """Bytes of a buffer; none is kept while it is 0."""

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """A buffer of so many bytes, used before if there is one. Those of another size are not kept any more.

        :raises MemoryError: the system refuses so much.
        """
        if nbytes != self._wanted:
            self._wanted = nbytes
            self._free.clear()
        with contextlib.suppress(IndexError):
            return self._free.pop()
        return frame_memory(nbytes)

    def put_back(self, buffer: NDArray[np.uint8]) -> None:
        """Keep it for the next acquisition, if it still fits."""
        if buffer.size == self._wanted and len(self._free) < self._most:
            self._free.append(buffer)
        if not self._wanted:  # let go of by another thread just now
            self._free.clear()

    def let_go(self) -> None:
        """Give all memory that is not in use back to the system, and the rest as it is put back."""
        self._wanted = 0
        self._free.clear()


def instant_camera(pylon: Any, info: Any, memory: GrabMemory) -> Any:
    """A camera, not yet open, that grabs into memory of ours.

    :param pylon: the module, which is imported only when a camera is opened.
    :param info: which camera, as pylon's enumeration tells it.
    """
    camera = pylon.InstantCamera(pylon.TlFactory.GetInstance().CreateDevice(info))
    camera.SetBufferFactory(_factory(pylon, memory))
    return camera


def _factory(pylon: Any, memory: GrabMemory) -> Any:
    class Factory(pylon.BufferFactory):  # type: ignore[misc]
        # The names are pylon's.
        def AllocateBuffer(self, buffer_size: int) -> Any:  # noqa: N802
            buffer = memory.take(buffer_size)  # where it raises, the start does; fewer than asked for would lose frames
            return buffer.ctypes.data, buffer

        def FreeBuffer(self, buffer: int, context: Any) -> None:  # noqa: ARG002, N802
            memory.put_back(context)

    return Factory()
