"""What a camera's SDK must do for us: the one protocol between cameras and the frame pipeline."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ._format import CameraIdentity, FrameFormat, PixelFormat, Range, Roi
from ._lease import FrameRef, LeaseBook


@runtime_checkable
class CountsLosses(Protocol):
    """A camera that knows of frames that it lost, although none has come after them yet."""

    def lost_after_last(self) -> int:
        """Frames lost since the last one that it gave, or since the start; also after ``stop``."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """A camera whose ``next_frame`` can be broken off, also where its SDK does not keep the time that it was given."""

    def interrupt(self) -> None:
        """Have ``next_frame`` return soon, from any other thread; the camera stops."""
        ...


@runtime_checkable
class CameraDriver(Protocol):
    """A camera, opened through its SDK.

    Between ``start`` and ``stop`` one acquisition thread calls ``next_frame``; settings may be read and set by
    another thread meanwhile. Nothing here runs on the event loop. Every failure is a
    :class:`~rdaq_ophyd.errors.CameraError` or a :class:`~rdaq_ophyd.errors.LimitError`.
    """

    label: str
    book: LeaseBook

    def open(self) -> CameraIdentity:
        """Open the camera; a second call does nothing but answer who it is."""
        ...

    def close(self) -> None:
        """Close it; frames out on lease stay valid. Idempotent."""
        ...

    def start(self, period: float) -> None:
        """Start acquiring, one frame every ``period`` seconds or, if that is 0, as fast as exposure and readout allow.

        Sequence numbers begin with 0 again.

        :raises LimitError: it cannot keep that period; it never takes another one instead.
        """
        ...

    def stop(self) -> None:
        """Stop acquiring, also within an exposure. Idempotent."""
        ...

    def next_frame(self, timeout: float) -> FrameRef | None:
        """The next frame in order, or None when none came within ``timeout`` seconds."""
        ...

    def exposure(self) -> float:
        """Exposure time, s."""
        ...

    def set_exposure(self, seconds: float) -> None:
        """Set the exposure time, s; the range was checked."""
        ...

    def exposure_range(self) -> Range:
        """Allowed exposure times, s."""
        ...

    def roi(self) -> Roi:
        """The region that is read out."""
        ...

    def set_roi(self, roi: Roi) -> None:
        """Read out this region; it lies on the sensor."""
        ...

    def sensor_size(self) -> tuple[int, int]:
        """Width and height of the whole sensor, pixels."""
        ...

    def roi_step(self) -> Roi:
        """Granularity of each of the region's four numbers."""
        ...

    def pixel_format(self) -> PixelFormat:
        """The pixel format in use."""
        ...

    def set_pixel_format(self, pixel_format: PixelFormat) -> None:
        """Use another pixel format; it is one of :meth:`pixel_formats`."""
        ...

    def pixel_formats(self) -> tuple[PixelFormat, ...]:
        """The pixel formats this camera has."""
        ...

    def frame_format(self) -> FrameFormat:
        """Shape and dtype of the next frames."""
        ...
