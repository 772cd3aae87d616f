"""Frames of a camera elsewhere, as arrays."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from rdaq_ophyd.wire import SERVICE, frame_from, messages

from ._call import Calls, Stream

CREDITS = 2
"""Frames on their way while one is drawn: more are older, fewer leave the line idle for a round trip."""


@dataclass(frozen=True)
class Frame:
    """One frame.

    :ivar array: read-only, shape (height, width).
    :ivar sequence: the camera's own count.
    :ivar host_time: when it arrived at the rig, seconds since 1970 by the rig's clock.
    :ivar skipped: frames since the stream began that were not sent: they came while others were drawn.
    :ivar offered: frames that the camera took since the stream began.
    :ivar age: seconds from its arrival at the rig to its sending.
    """

    array: NDArray[Any] = field(repr=False)
    sequence: int
    host_time: float
    hardware_time: int
    scale: int
    offered: int
    skipped: int
    age: float


class Frames:
    """The newest frames of a camera, for as long as it is iterated over; ``close()`` ends it from any thread.

    Each frame that is taken grants the next one, so a slow reader gets fewer, and none that is old.
    """

    def __init__(self, calls: Calls, channel: Any, camera: str, scale: int) -> None:
        self._grants: queue.SimpleQueue[messages.FrameCredit | None] = queue.SimpleQueue()
        self._grants.put(messages.FrameCredit(camera=camera, scale=scale, credits=CREDITS))
        call = channel.stream_stream(
            f"/{SERVICE}/StreamFrames",
            request_serializer=messages.FrameCredit.SerializeToString,
            response_deserializer=None,  # the pixels are not copied
        )
        self._stream = Stream(call(iter(self._grants.get, None), metadata=calls.metadata), calls.address)

    def __iter__(self) -> Iterator[Frame]:
        try:
            for data in self._stream:
                header, array = frame_from(data)
                yield Frame(
                    array,
                    header.sequence,
                    header.host_time,
                    header.hardware_time,
                    header.scale,
                    header.offered,
                    header.skipped,
                    header.age,
                )
                self._grants.put(messages.FrameCredit(credits=1))
        finally:
            self.close()

    def close(self) -> None:
        """End it."""
        self._grants.put(None)
        self._stream.close()
