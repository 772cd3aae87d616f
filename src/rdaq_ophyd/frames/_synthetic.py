"""A camera in software with a real camera's habits: its own buffers, its own clock, and losses when it is not read."""

from __future__ import annotations

import itertools
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.errors import CameraError

from ._format import CameraIdentity, FrameFormat, PixelFormat, Range, Roi
from ._lease import FrameRef, LeaseBook
from ._load import SyntheticLoad
from ._software_edges import SoftwareEdges

# Time to read a frame out when exposures are shorter than that, s: 1 kHz at most.
_READOUT = 1e-3
# Pre-drawn frames that take turns, so that noise changes from frame to frame.
_VARIANTS = 4
# Counts per second at the brightest point of the spot, on 16 bits, and the offset of every pixel.
_BRIGHTNESS = 2e6
_OFFSET = 100
_SERIALS = itertools.count(1)


class SyntheticDriver:
    """Frames of a laser spot with shot noise, brighter with longer exposure.

    The number of frames exposed before it since the camera was opened stands in the first pixels of each frame, as
    the 8 bytes of a little-endian 64-bit number.

    :param width: of the sensor, pixels.
    :param height: of the sensor, pixels.
    :param buffers: frames that may be out on lease or waiting; with all of them out, the camera loses frames.
    :param load: rate, jitter and losses; None for an even pace without losses.
    :param label: name for messages.
    """

    def __init__(
        self,
        width: int = 640,
        height: int = 480,
        *,
        buffers: int = 16,
        load: SyntheticLoad | None = None,
        label: str = "synthetic",
    ) -> None:
        self.label = label
        self.load = load or SyntheticLoad()
        self.book = LeaseBook(label)
        self._size = (width, height)
        self._buffers = buffers
        self._roi = Roi(0, 0, width, height)
        self._pixel_format = PixelFormat.MONO16
        self._exposure = 0.01
        self._identity = CameraIdentity("rdaq-ophyd", f"Synthetic {width}x{height}", f"SYN-{next(_SERIALS):04d}")
        self._opened = False
        self._stopped = threading.Event()
        self._stopped.set()
        self._free: SimpleQueue[NDArray[Any]] = SimpleQueue()
        self._pool: tuple[FrameFormat, float, list[NDArray[Any]]] | None = None
        self._slots: FrameFormat | None = None
        self._exposed = 0
        self._next = 0
        self._lose = 0
        self._late = 0.0
        self._edges = SoftwareEdges(self._stopped)
        self._before = self._taken = 0
        self._fail: Exception | None = None

    # -- opening and settings -------------------------------------------------------------------------------

    def open(self) -> CameraIdentity:
        """Open the camera."""
        self._opened = True
        return self._identity

    def close(self) -> None:
        """Close it; frames on lease stay valid."""
        self.stop()
        self._opened = False

    def exposure(self) -> float:
        """Exposure time, s."""
        return self._exposure

    def set_exposure(self, seconds: float) -> None:
        """Set the exposure time, s."""
        self._exposure = seconds

    def exposure_range(self) -> Range:
        """From 10 µs to 60 s."""
        return Range(1e-5, 60.0)

    def roi(self) -> Roi:
        """The region that is read out."""
        return self._roi

    def set_roi(self, roi: Roi) -> None:
        """Read out this region."""
        self._roi = roi

    def sensor_size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self._size

    def roi_step(self) -> Roi:
        """Any region from 1 × 1 pixel on."""
        return Roi(1, 1, 1, 1)

    def pixel_format(self) -> PixelFormat:
        """The pixel format in use."""
        return self._pixel_format

    def set_pixel_format(self, pixel_format: PixelFormat) -> None:
        """Use another one."""
        self._pixel_format = pixel_format

    def pixel_formats(self) -> tuple[PixelFormat, ...]:
        """Mono8, Mono12, Mono16."""
        return (PixelFormat.MONO8, PixelFormat.MONO12, PixelFormat.MONO16)

    def frame_format(self) -> FrameFormat:
        """Shape and dtype of the next frames."""
        return FrameFormat(self._roi.height, self._roi.width, self._pixel_format.dtype_numpy)

    @property
    def acquired(self) -> int:
        """Frames exposed since the camera was made, up to the last one that was delivered."""
        return self._before + self._taken

    # -- edges ----------------------------------------------------------------------------------------------

    def trigger_lines(self) -> tuple[str, ...]:
        """Its one input."""
        return ("Line1",)

    def arm_edges(self, line: str | None) -> None:
        """From the next start on expose at each :meth:`fire`; None: at its own pace."""
        self._edges.line = line

    def fire(self) -> bool:
        """An edge at the input, from any thread; False where the camera misses it: not started, or still exposing."""
        return not self._stopped.is_set() and self._edges.fire()

    @property
    def missed_edges(self) -> int:
        """Edges that came while it was exposing, since the last start."""
        return self._edges.missed

    # -- faults, for tests and rehearsals ---------------------------------------------------------------------

    def lose(self, frames: int) -> None:
        """Lose the next ``frames`` frames, as a camera does whose transfer fails."""
        self._lose += frames

    def fail(self, error: Exception) -> None:
        """Fail with ``error`` at the next frame, as a camera does that is unplugged."""
        self._fail = error

    # -- acquiring ------------------------------------------------------------------------------------------

    def start(self, period: float) -> None:
        """Expose one frame every ``period`` seconds, or as fast as exposure and readout allow."""
        if not self._opened:
            raise CameraError(f"{self.label} is not open", hint="connect the device first")
        frame = self.frame_format()
        if self._slots != frame:
            self._free = SimpleQueue()
            for _ in range(self._buffers):
                self._free.put(np.empty(frame.shape, frame.dtype_numpy))
            self._slots = frame
        self._draw(frame)
        self._period = self.load.period(max(period, self._exposure, _READOUT))
        self._exposed += self._next
        self._before, self._taken = self.acquired, 0
        self._next, self._late = self.load.lost(), self.load.lateness()
        self._edges.start(self._period)
        self._began = time.monotonic()
        self._stopped.clear()

    def stop(self) -> None:
        """Stop, also within an exposure."""
        self._stopped.set()

    def next_frame(self, timeout: float) -> FrameRef | None:
        """The next frame, or None when its exposure does not end within ``timeout`` seconds."""
        if self._fail is not None:
            error, self._fail = self._fail, None
            raise error
        if self._edges.line is not None:
            return self._at_edge(timeout)
        wait = self._began + (self._next + 1) * self._period + self._late - time.monotonic()
        if wait > 0 and (self._stopped.wait(min(wait, timeout)) or wait > timeout):
            return None
        waiting = int((time.monotonic() - self._began) / self._period) - self._next
        self._next += max(0, waiting - max(1, self._free.qsize()))
        return self._lease()

    def _at_edge(self, timeout: float) -> FrameRef | None:
        if not self._edges.wait(timeout):
            return None
        self._next, self._lose = self._next + self._lose, 0
        if self._edges.ended <= self._next:
            return None  # one of those lost on their way
        if (ref := self._lease()) is None:
            self._next += 1
        return ref

    def _lease(self) -> FrameRef | None:
        try:
            slot = self._free.get_nowait()
        except Empty:
            return None
        sequence, free = self._next + self._lose, self._free
        self._lose = 0
        self._taken = sequence + 1
        self._next = self._taken + self.load.lost()
        self._late = self.load.lateness()
        assert self._pool is not None
        number = self._exposed + sequence
        np.copyto(slot, self._pool[2][number % _VARIANTS])
        mark = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
        head = slot.reshape(-1).view(np.uint8)[:8]
        head[:] = mark[: len(head)]
        return FrameRef(
            slot,
            sequence=sequence,
            host_time=time.time(),
            hardware_time=time.monotonic_ns(),
            camera=self.label,
            give_back=lambda: free.put(slot),
            book=self.book,
        )

    def _draw(self, frame: FrameFormat) -> None:
        if self._pool is not None and self._pool[:2] == (frame, self._exposure):
            return
        bits = self._pixel_format.bits
        x = np.arange(self._roi.x, self._roi.x + frame.width) - self._size[0] / 2
        y = np.arange(self._roi.y, self._roi.y + frame.height) - self._size[1] / 2
        waist = min(self._size) / 5
        spot = np.exp(-2 * (x[None, :] ** 2 + y[:, None] ** 2) / waist**2) * _BRIGHTNESS * self._exposure + _OFFSET
        random = np.random.default_rng(1)
        images = []
        for _ in range(_VARIANTS):
            noisy = spot + random.standard_normal(frame.shape, np.float32) * np.sqrt(spot)
            scaled = np.clip(noisy, 0, 2**16 - 1) / 2 ** (16 - bits)
            images.append(np.clip(scaled, 0, 2**bits - 1).astype(frame.dtype_numpy))
        self._pool = (frame, self._exposure, images)


def sequence_of(frame: NDArray[Any]) -> int:
    """The number that a synthetic camera wrote into a frame of at least 8 bytes."""
    return int.from_bytes(np.ascontiguousarray(frame).reshape(-1).view(np.uint8)[:8].tobytes(), "little")
