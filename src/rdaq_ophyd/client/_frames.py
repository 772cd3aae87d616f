"""Frames of a camera elsewhere, as arrays."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import frames_from, messages

from ._course import Course
from ._gap import OnGap
from ._memory import keep_freed
from ._window import MOST, Window


@dataclass(frozen=True)
class Frame:
    """One frame.

    :ivar array: read-only, shape (height, width). Small frames that came together have their memory together, 2 MiB:
        copy what is to be kept of many.
    :ivar sequence: the camera's own count.
    :ivar host_time: when it arrived at the rig, seconds since 1970 by the rig's clock.
    :ivar skipped: frames since the stream began that were not sent: they came while others were drawn.
    :ivar offered: frames that the camera took since the stream began, without those while the connection was cut.
    :ivar age: seconds from its arrival at the rig until it was made into a message, which waits for the one before.
    """

    array: NDArray[Any] = field(repr=False)
    sequence: int
    host_time: float
    hardware_time: int
    scale: int
    offered: int
    skipped: int
    age: float


class Come(NamedTuple):
    """A frame as it came.

    :ivar array: a view of its message.
    """

    header: messages.FrameHeader
    array: NDArray[Any]


def taken_apart(message: bytes) -> list[Come]:
    """The frames of a message.

    :raises LimitError: it is no such message.
    """
    return [Come(*parts) for parts in frames_from(message)]


class _Counts(NamedTuple):
    """Of the frame that came last; its pixels are whoever's who took it."""

    sequence: int
    offered: int
    skipped: int


class FrameCourse(Course[Frame]):
    """The newest frames of a camera. After a cut the first frame tells how many came meanwhile.

    :param fixed: frames on their way while one is drawn; None adapts.
    :raises LimitError: more than a server grants, or none.
    :ivar window: how many are granted, anew for each call.
    """

    call = "StreamFrames"

    def __init__(self, camera: str, scale: int, fixed: int | None = None, on_gap: OnGap | None = None) -> None:
        super().__init__(on_gap)
        if fixed is not None and not 1 <= fixed <= MOST:
            raise LimitError(f"credits = {fixed}", hint=f"1 to {MOST} frames on their way, or None, which adapts")
        self._fixed = fixed
        self.window = Window(fixed)
        self.stream = f"frames of {camera}"
        self._camera, self._scale = camera, scale
        self._last: _Counts | None = None
        self._before = (0, 0)  # offered and skipped in earlier calls
        self._missing: tuple[float, bool] | None = None

    def request(self) -> messages.FrameCredit:
        """The first message of a call, and a new window for what it grants."""
        keep_freed()
        self.window = Window(self._fixed)
        first = self.window.grant(time.monotonic())
        return messages.FrameCredit(camera=self._camera, scale=self._scale, credits=first, together=True)

    def items(self, message: Come) -> Iterable[Frame]:
        """The frame; a message was taken apart before."""
        header, array = message
        if self._missing is not None:
            (since, restarted), self._missing = self._missing, None
            self._gap(since, self._between(header.sequence, restarted), restarted)
        offered, skipped = self._before
        self._last = _Counts(header.sequence, offered + header.offered, skipped + header.skipped)
        yield Frame(
            array,
            header.sequence,
            header.host_time,
            header.hardware_time,
            header.scale,
            self._last.offered,
            self._last.skipped,
            header.age,
        )

    def _again(self, since: float, told: Mapping[str, str], restarted: bool) -> None:
        del told
        if self._last is not None:
            self._before = (self._last.offered, self._last.skipped)
        first, anew = self._missing or (since, False)  # cuts without a frame between them are one gap
        self._missing = first, anew or restarted

    def _between(self, sequence: int, restarted: bool) -> int | None:
        """Frames between the last one and this; None where the camera has begun to count anew."""
        last = self._last.sequence if self._last is not None else sequence
        return None if restarted or sequence <= last else sequence - last - 1
