"""Smaller pictures of frames, made when the first client asks, and once for all who want the same."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from numpy.typing import NDArray

from rdaq_ophyd.frames import FrameRef

KEPT = 2
"""Frames of which a preview is kept, for each camera and scale: the newest, and the one that others are just taking."""


class _Made(NamedTuple):
    frame: tuple[int, float]
    pixels: asyncio.Task[NDArray[Any]]


class Previews:
    """Previews of the newest frames; for one event loop."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int], list[_Made]] = {}

    async def of(self, camera: str, ref: FrameRef, scale: int) -> NDArray[Any]:
        """Every ``scale``-th pixel of rows and columns, contiguous.

        It is made in a thread, and goes on being made for the others when one who waits for it goes away.
        """
        kept, frame = self._made.setdefault((camera, scale), []), (ref.sequence, ref.host_time)
        found = next((made for made in kept if made.frame == frame), None)
        if found is None:
            found = _Made(frame, asyncio.create_task(asyncio.to_thread(every, ref.array, scale)))
            kept.append(found)
            del kept[:-KEPT]
        try:
            return await asyncio.shield(found.pixels)
        except Exception:
            if found in kept:
                kept.remove(found)  # whoever asks next tries again
            raise


def every(array: NDArray[Any], scale: int) -> NDArray[Any]:
    """A copy of every ``scale``-th pixel of rows and columns."""
    return array[::scale, ::scale].copy()
