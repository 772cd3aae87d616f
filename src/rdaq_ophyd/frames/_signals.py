"""The signals that every camera has."""

from __future__ import annotations

from ophyd_async.core import SignalR, SignalRW, StandardDetector

from ._compression import Compression
from ._format import PixelFormat
from ._settings import RoiSettings


class CameraSignals(StandardDetector):
    """What can be set, and what a camera tells of itself and of its frames."""

    exposure: SignalRW[float]
    """Exposure time, s; the range is the camera's.

    :raises LimitError: outside of that range.
    """
    pixel_format: SignalRW[PixelFormat]
    """One of those that the camera has.

    :raises CameraError: a file is open, and its frames have one shape.
    :raises LimitError: the camera has no such format.
    """
    compression: SignalRW[Compression]
    """Of the next files' frames, in threads of this process; ``none``: as the camera gives them.

    :raises CameraError: a file is open, and its frames have one kind; or the codec's package is not installed.
    """
    roi: RoiSettings
    model: SignalR[str]
    """As the camera says."""
    serial_number: SignalR[str]
    """As on the camera's label."""
    frames_written: SignalR[int]
    """Since the file was opened; counted when others can read them."""
    frames_lost: SignalR[int]
    """By the camera, since the file was opened: gaps in its own numbers."""
    frames_discarded: SignalR[int]
    """Since the file was opened: taken, but read by no plan, such as those of a paused acquisition."""
