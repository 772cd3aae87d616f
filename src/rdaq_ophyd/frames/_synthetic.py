"""A camera in software with a real camera's habits: its own buffers, its own clock, and losses when it is not read."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.errors import CameraError

from ._clock import CameraClock
from ._format import CameraIdentity, FrameFormat, PixelFormat, Range, Roi
from ._lease import FrameRef, LeaseBook
from ._load import SyntheticLoad
from ._memory import frame_array
from ._pace import refuse_faster
from ._software_edges import SoftwareEdges

# Time to read a frame out when exposures are shorter than that, s: 1 kHz at most.
_READOUT = 1e-3
# Pre-drawn frames that take turns, so that noise changes from frame to frame.
_VARIANTS = 4
# How often a camera that exposes on and on looks at its scene, s.
_LOOK_EVERY = 0.05
# Counts per second at the brightest point of the spot, on 16 bits, and the offset of every pixel.
_BRIGHTNESS = 2e6
_OFFSET = 100
_SERIALS = itertools.count(1)


class Spot(Protocol):
    """What the camera looks at, relative to the spot that it shows without a scene."""

    @property
    def size(self) -> float:
        """Of the radius."""
        ...

    @property
    def power(self) -> float:
        """Of the light in it: twice as wide it is a quarter as bright."""
        ...


class SyntheticDriver:
    """Frames of a laser spot with shot noise, brighter with longer exposure.

    The number of frames exposed before it since the camera was opened stands in the first pixels of each frame, as
    the 8 bytes of a little-endian 64-bit number.

    :param width: of the sensor, pixels.
    :param height: of the sensor, pixels.
    :param buffers: frames that may be out on lease or waiting; with all of them out, the camera loses frames.
    :param load: rate, jitter and losses; None for an even pace without losses.
    :param label: name for messages.
    :param scene: tells how the spot is now, for a camera on a simulated bench; unless given it stays as it is.
    """

    def __init__(
        self,
        width: int = 640,
        height: int = 480,
        *,
        buffers: int = 16,
        load: SyntheticLoad | None = None,
        label: str = "synthetic",
        scene: Callable[[], Spot] | None = None,
    ) -> None:
        self.label, self._scene = label, scene
        self._looked = -math.inf
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
        self._spot = (1.0, 1.0)  # size and power
        self._noise: list[NDArray[np.float32]] = []
        self._pool: tuple[FrameFormat, float, tuple[float, float], list[NDArray[Any]]] | None = None
        self._slots: FrameFormat | None = None
        self._exposed = 0
        self._next = 0
        self._lose = 0
        self._late = 0.0
        self._edges = SoftwareEdges(self._stopped)
        self._clock = CameraClock()
        self._before = self._taken = self._passed = 0
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
        self._slots, self._free = None, SimpleQueue()

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
        """Frames exposed since the camera was made, up to the last one that was delivered, or lost after that."""
        return self._before + self._taken + self.lost_after_last()

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

    def check_period(self, period: float) -> None:
        """Refuse one that is shorter than its exposure, readout and load allow.

        :raises LimitError: naming what sets the shortest.
        """
        shortest = self._shortest()
        free = shortest == max(self._exposure, _READOUT)
        refuse_faster(self.label, period, shortest, "exposure and readout" if free else "frame_rate")

    def _shortest(self) -> float:
        return self.load.period(max(self._exposure, _READOUT))

    def start(self, period: float) -> None:
        """Expose one frame every ``period`` seconds, or as fast as exposure and readout allow.

        :raises LimitError: that is faster than they do.
        """
        if not self._opened:
            raise CameraError(f"{self.label} is not open", hint="connect the device first")
        if period:
            self.check_period(period)
        frame = self.frame_format()
        if self._slots != frame:
            self._free = SimpleQueue()
            for _ in range(self._buffers):
                self._free.put(frame_array(frame.shape, frame.dtype_numpy))
            self._slots = frame
        self._look(-math.inf)
        self._draw(frame)
        self._period = max(period, self._shortest())
        self._exposed += self._next
        self._before, self._taken, self._passed = self.acquired, 0, 0
        self._next, self._late = self.load.lost(), self.load.lateness()
        self._edges.start(self._period)
        self._clock.begin()
        self._began = time.monotonic()
        self._stopped.clear()

    def stop(self) -> None:
        """Stop, also within an exposure."""
        self._stopped.set()

    def lost_after_last(self) -> int:
        """Frames whose exposure ended after that of the last one delivered, and for which no buffer was free."""
        ended = self._passed if self._edges.line is None else self._edges.ended
        return max(0, min(ended, self._next) - self._taken)

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
        if (passed := waiting - max(1, self._free.qsize())) > 0:
            self._next += passed
            self._passed = self._next
        return self._lease(self._began + (self._next + 1) * self._period)

    def _at_edge(self, timeout: float) -> FrameRef | None:
        if not self._edges.wait(timeout):
            return None
        self._next, self._lose = self._next + self._lose, 0
        if self._edges.ended <= self._next:
            return None  # one of those lost on their way
        if (ref := self._lease(self._edges.ended_at)) is None:
            self._next += 1
        return ref

    def _lease(self, exposed: float) -> FrameRef | None:
        """The next frame, whose exposure ended at ``exposed``, s of the camera's clock."""
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
        if self._scene is not None:
            self._look(self._looked + _LOOK_EVERY)
            self._draw(self._pool[0])
        number = self._exposed + sequence
        np.copyto(slot, self._pool[-1][number % _VARIANTS])
        mark = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
        head = slot.reshape(-1).view(np.uint8)[:8]
        head[:] = mark[: len(head)]
        ticks = round(exposed * 1e9)
        return FrameRef(
            slot,
            sequence=sequence,
            host_time=self._clock.arrival(ticks),
            hardware_time=ticks,
            camera=self.label,
            give_back=lambda: free.put(slot),
            book=self.book,
        )

    def _look(self, due: float) -> None:
        """See how the spot is, where there is a scene and it is time to."""
        if self._scene is not None and time.monotonic() >= due:
            spot = self._scene()
            self._spot, self._looked = (spot.size, spot.power), time.monotonic()

    def _draw(self, frame: FrameFormat) -> None:
        if self._pool is not None and self._pool[:3] == (frame, self._exposure, self._spot):
            return
        bits, (size, power) = self._pixel_format.bits, self._spot
        x = np.arange(self._roi.x, self._roi.x + frame.width) - self._size[0] / 2
        y = np.arange(self._roi.y, self._roi.y + frame.height) - self._size[1] / 2
        waist = min(self._size) / 5 * size
        bright = _BRIGHTNESS * self._exposure * power / size**2
        spot = np.exp(-2 * y[:, None] ** 2 / waist**2) * np.exp(-2 * x[None, :] ** 2 / waist**2) * bright + _OFFSET
        images = []
        for noise in self._noises(frame):
            scaled = np.clip(spot + noise * np.sqrt(spot), 0, 2**16 - 1) / 2 ** (16 - bits)
            images.append(np.clip(scaled, 0, 2**bits - 1).astype(frame.dtype_numpy))
        self._pool = (frame, self._exposure, self._spot, images)

    def _noises(self, frame: FrameFormat) -> list[NDArray[np.float32]]:
        """For each of the frames that take turns; kept where the spot may change often."""
        if self._noise and self._noise[0].shape == frame.shape:
            return self._noise
        random = np.random.default_rng(1)
        drawn = [random.standard_normal(frame.shape, np.float32) for _ in range(_VARIANTS)]
        self._noise = drawn if self._scene is not None else []
        return drawn


def sequence_of(frame: NDArray[Any]) -> int:
    """The number that a synthetic camera wrote into a frame of at least 8 bytes."""
    return int.from_bytes(np.ascontiguousarray(frame).reshape(-1).view(np.uint8)[:8].tobytes(), "little")
