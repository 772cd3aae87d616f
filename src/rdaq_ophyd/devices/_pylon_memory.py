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
    """The buffers of one camera. pylon calls it from its own threads, too, with Python's lock held."""

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """A buffer of so many bytes, used before if there is one.

        :raises MemoryError: there is not so much.
        """
        # Without a lock: a frame that is collected within this gives its buffer back from the same thread.
        with contextlib.suppress(IndexError):
            while True:
                if (kept := self._free.pop()).size == nbytes:  # else from before another region or format
                    return kept
        return frame_memory(nbytes)

    def put_back(self, buffer: NDArray[np.uint8]) -> None:
        """Keep it for the next acquisition."""
        self._free.append(buffer)

    def let_go(self) -> None:
        """Give all memory that is not in use back to the system."""
        self._free.clear()


def instant_camera(pylon: Any, info: Any) -> Any:
    """A camera, not yet open, that grabs into memory of ours.

    :param pylon: the module, which is imported only when a camera is opened.
    :param info: which camera, as pylon's enumeration tells it.
    """
    camera = pylon.InstantCamera(pylon.TlFactory.GetInstance().CreateDevice(info))
    camera.SetBufferFactory(_factory(pylon, GrabMemory()))
    return camera


def _factory(pylon: Any, memory: GrabMemory) -> Any:
    class Factory(pylon.BufferFactory):  # type: ignore[misc]
        # The names are pylon's.
        def AllocateBuffer(self, buffer_size: int) -> Any:  # noqa: N802
            buffer = memory.take(buffer_size)  # where it raises, the start does; fewer than asked for would lose frames
            return buffer.ctypes.data, buffer

        def FreeBuffer(self, buffer: int, context: Any) -> None:  # noqa: ARG002, N802
            memory.put_back(context)

        def OnReleased(self) -> None:  # noqa: N802
            memory.let_go()

    return Factory()
