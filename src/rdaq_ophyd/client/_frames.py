"""Frames of a camera elsewhere, as arrays."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import SERVICE, frame_from, messages

from ._ahead import Ahead
from ._call import Calls, Stream
from ._window import MOST, Window


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

    Each frame that is taken grants the next one, which comes while this one is drawn: a slow reader gets fewer, and
    none that is old. A quick one far away has as many on their way as the line holds.
    """

    def __init__(self, calls: Calls, channel: Any, camera: str, scale: int, fixed: int | None) -> None:
        if fixed is not None and not 1 <= fixed <= MOST:
            raise LimitError(f"credits = {fixed}", hint=f"1 to {MOST} frames on their way, or None, which adapts")
        self._closed = False
        self._window = Window(fixed)
        self._grants: queue.SimpleQueue[messages.FrameCredit | None] = queue.SimpleQueue()
        first = self._window.grant(time.monotonic())
        self._grants.put(messages.FrameCredit(camera=camera, scale=scale, credits=first))
        call = channel.stream_stream(
            f"/{SERVICE}/StreamFrames",
            request_serializer=messages.FrameCredit.SerializeToString,
            response_deserializer=None,  # the pixels are not copied
        )
        self._stream = Stream(call(iter(self._grants.get, None), metadata=calls.metadata), calls.address)

    @property
    def credits(self) -> int:
        """Frames that may be on their way, or lie ready, at the moment."""
        return self._window.size

    def __iter__(self) -> Iterator[Frame]:
        ahead = Ahead(self._stream, self._window, lambda n: self._grants.put(messages.FrameCredit(credits=n)))
        try:
            while not self._closed and (data := ahead.next()) is not None:
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
        finally:
            self.close()
            ahead.join()

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._grants.put(None)
        self._stream.close()
