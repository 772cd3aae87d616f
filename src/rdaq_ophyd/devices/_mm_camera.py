"""A camera under Micro-Manager, through the core's circular buffer."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rdaq_ophyd.errors import CameraError, MicroManagerError
from rdaq_ophyd.frames import CameraClock, CameraIdentity, FrameFormat, FrameRef, LeaseBook, PixelFormat, Range, Roi

from ._mm_core import MicroManager, translated
from ._mm_pixels import format_of, known_formats

logger = logging.getLogger(__name__)
# As many images as a sequence may have: MMCore takes a C long, 32 bits on Windows.
_ENDLESS = 2**31 - 1
# Between two looks into the buffer, s: MMCore has no call that waits for an image.
_LOOK = 0.001
# What a camera that names no limits is taken to allow, s.
_SHORTEST, _LONGEST = 1e-6, 3600.0
_ELAPSED = "ElapsedTime-ms"


class MicroManagerDriver:
    """One camera of a Micro-Manager configuration.

    pymmcore copies each image out of the core's buffer into an array of its own: that is the one copy, counted in
    ``copied``. The lease is on that array; no further copy is made.

    :param mm: the core.
    :param camera: the camera's label in the configuration.
    :param frame_number: tag of the image's metadata that counts frames. ``ImageNumber`` counts what the adapter handed
        to the core; name the adapter's own tag where it has one, to see also what was lost before.
    :param pixel_types: property values that make each pixel format, where they are not found by themselves.
    :param label: name for messages.
    :ivar file_format: of the frames in the open file, None where none is open: no other ones are handed out.
    """

    def __init__(
        self,
        mm: MicroManager,
        camera: str,
        *,
        frame_number: str = "ImageNumber",
        pixel_types: Mapping[PixelFormat, Mapping[str, str]] | None = None,
        label: str = "camera",
    ) -> None:
        self.label = label
        self.book = LeaseBook(label)
        self.mm, self.camera = mm, camera
        self.copied = 0
        self._frame_number = frame_number
        self._pixel_types = pixel_types
        self._identity: CameraIdentity | None = None
        self._stopped = threading.Event()
        self._polling = threading.RLock()
        self._running = False
        self._known_exposure: float | None = None  # while it runs: asked for with each frame, and may wait in the lane
        self._period = 0.0
        self._shots = 0
        self._waiting_for_shot = False
        self._due = 0.0
        self._first = -1
        self.file_format: Callable[[], FrameFormat | None] = lambda: None
        self._format: FrameFormat | None = None
        self._clock = CameraClock()
        self._sensor: tuple[str, tuple[int, int]] | None = None

    def _do(self, what: str, call: Any, timeout: float | None = None) -> Any:
        if self._identity is None:
            raise CameraError(f"{self.label} is not open", hint="connect the device first")
        return self.mm.call(self.camera, f"{self.label}: camera {self.camera} {what}", call, timeout)

    # -- opening --------------------------------------------------------------------------------------------

    def open(self) -> CameraIdentity:
        """Load Micro-Manager, if nobody did; settings stay as the configuration made them.

        :raises MicroManagerError: what is missing, or that the device is no camera.
        """
        if self._identity is not None:
            return self._identity
        self.mm.hold(self.camera)
        try:
            self._identity = self.mm.call(self.camera, f"{self.label}: {self.camera} cannot be opened", self._identify)
        except BaseException:
            self.mm.release(self.camera)
            raise
        return self._identity

    def _identify(self, core: Any) -> CameraIdentity:
        camera = self.mm.module.CameraDevice
        if core.getDeviceType(self.camera) != camera:
            raise MicroManagerError(
                f"{self.label}: Micro-Manager's device {self.camera!r} is no camera",
                hint=f"cameras: {', '.join(core.getLoadedDevicesOfType(camera)) or 'none'}",
            )
        said = {n: core.getProperty(self.camera, n) for n in ("CameraID", "SerialNumber") if self._has(core, n)}
        return CameraIdentity(
            core.getDeviceLibrary(self.camera),
            core.getDeviceName(self.camera),
            said.get("SerialNumber") or said.get("CameraID") or self.camera,
        )

    def _has(self, core: Any, name: str) -> bool:
        return bool(core.hasProperty(self.camera, name))

    def close(self) -> None:
        """Close it; frames on lease stay valid."""
        if self._identity is None:
            return
        self.stop()
        with self._polling:  # nothing may be unloaded under a call
            self._identity = None
            self.mm.release(self.camera)

    # -- settings -------------------------------------------------------------------------------------------

    def exposure(self) -> float:
        """Exposure time, s."""
        if self._known_exposure is not None:
            return self._known_exposure
        return float(self._do("does not tell its exposure", lambda core: core.getExposure(self.camera))) / 1000

    def set_exposure(self, seconds: float) -> None:
        """Set the exposure time, s."""
        self._do(f"refuses an exposure of {seconds} s", lambda core: core.setExposure(self.camera, seconds * 1000))
        if self._running:
            self._known_exposure = seconds

    def exposure_range(self) -> Range:
        """The limits of its property ``Exposure``; 1 µs to an hour where it names none."""

        def ask(core: Any) -> Range:
            if not (self._has(core, "Exposure") and core.hasPropertyLimits(self.camera, "Exposure")):
                return Range(_SHORTEST, _LONGEST)
            low = core.getPropertyLowerLimit(self.camera, "Exposure") / 1000
            return Range(max(low, _SHORTEST), core.getPropertyUpperLimit(self.camera, "Exposure") / 1000)

        found: Range = self._do("does not tell its exposures", ask)
        return found

    def roi(self) -> Roi:
        """The region that is read out, in binned pixels."""
        return Roi(*self._do("has no region", lambda core: core.getROI(self.camera)))

    def set_roi(self, roi: Roi) -> None:
        """Read out this region."""
        self._do(f"refuses {roi}", lambda core: core.setROI(self.camera, roi.x, roi.y, roi.width, roi.height))
        if (now := self.roi()) != roi:
            raise MicroManagerError(f"{self.label}: asked for {roi}, it reads out {now}", hint="keep to its steps")

    def sensor_size(self) -> tuple[int, int]:
        """Width and height with the binning that is set, pixels."""

        def ask(core: Any) -> tuple[str, tuple[int, int]]:
            binning = core.getProperty(self.camera, "Binning") if self._has(core, "Binning") else ""
            if self._sensor is not None and self._sensor[0] == binning:
                return self._sensor
            if core.isSequenceRunning(self.camera):
                raise MicroManagerError(f"{self.label}: the sensor's size is not known yet", hint="wait until it stops")
            before = core.getROI(self.camera)
            core.setCameraDevice(self.camera)
            core.clearROI()  # the only way to learn it
            whole = core.getROI(self.camera)
            core.setROI(self.camera, *before)
            return binning, (int(whole[0] + whole[2]), int(whole[1] + whole[3]))

        self._sensor = self._do("does not tell the sensor's size", ask)
        return self._sensor[1]

    def roi_step(self) -> Roi:
        """Not known before it is tried: Micro-Manager does not tell it."""
        return Roi(1, 1, 1, 1)

    def pixel_format(self) -> PixelFormat:
        """The pixel format in use, from the bytes and bits of a pixel."""
        found: PixelFormat = self._do("has no pixel format of ours", self._pixel_format)
        return found

    def _pixel_format(self, core: Any) -> PixelFormat:
        core.setCameraDevice(self.camera)
        return format_of(self.label, core.getBytesPerPixel(), core.getImageBitDepth(), core.getNumberOfComponents())

    def set_pixel_format(self, pixel_format: PixelFormat) -> None:
        """Use another one."""

        def put(core: Any) -> None:
            for name, value in self._formats(core)[pixel_format].items():
                core.setProperty(self.camera, name, value)

        self._do(f"refuses {pixel_format.value}", put)

    def pixel_formats(self) -> tuple[PixelFormat, ...]:
        """Those of ours that the camera has."""
        return tuple(self._do("has no pixel formats", self._formats))

    def _formats(self, core: Any) -> dict[PixelFormat, Mapping[str, str]]:
        if self._pixel_types is not None:
            return dict(self._pixel_types)
        values = core.getAllowedPropertyValues(self.camera, "PixelType") if self._has(core, "PixelType") else ()
        return known_formats(values) or {self._pixel_format(core): {}}

    def frame_format(self) -> FrameFormat:
        """Shape and dtype of the next frames."""
        found: FrameFormat = self._do("does not tell its format", self._frame_format)
        return found

    def _frame_format(self, core: Any) -> FrameFormat:
        dtype = self._pixel_format(core).dtype_numpy
        return FrameFormat(int(core.getImageHeight()), int(core.getImageWidth()), dtype)

    # -- acquiring ------------------------------------------------------------------------------------------

    def _format_now(self) -> FrameFormat:
        found, known = self.frame_format(), self.file_format()
        if known is not None and found != known:
            raise MicroManagerError(
                f"{self.label}: its images are {found.shape} of {found.dtype_numpy} now, "
                f"those in the open file {known.shape} of {known.dtype_numpy}",
                hint="a property that changes the image was set meanwhile: set it back, or unstage the camera",
            )
        return found

    def start(self, period: float) -> None:
        """Acquire as fast as the camera can; with a ``period`` (s) longer than that, one image at a time by software.

        Adapters are free to ignore the interval of a sequence, and most do.

        :raises MicroManagerError: its images are no longer like those in the open file.
        """
        self.mm.claim(self.camera)
        try:
            self._format = self._format_now()
            self._clock.begin()
            self._known_exposure = self.exposure()
            self._period, self._shots, self._waiting_for_shot = period, 0, False
            self._due = time.monotonic()
            self._first = -1
            self._stopped.clear()
            self._running = True
            if not period:
                # False: images are overwritten when nobody takes them, and their numbers tell how many.
                self._do("does not start", lambda c: c.startSequenceAcquisition(self.camera, _ENDLESS, 0.0, False))
        except BaseException:
            self._running, self._known_exposure = False, None
            self.mm.unclaim(self.camera)
            raise

    def stop(self) -> None:
        """Stop; most adapters end the exposure in progress first."""
        self._stopped.set()
        if not self._running:
            return
        wait = self.mm.timeout + self.exposure()
        try:
            self._do("does not stop", self._stop, wait)
        finally:
            self._running, self._known_exposure = False, None
            self.mm.unclaim(self.camera)

    def _stop(self, core: Any) -> None:
        if core.isSequenceRunning(self.camera):
            core.stopSequenceAcquisition(self.camera)
        core.clearCircularBuffer()

    def next_frame(self, timeout: float) -> FrameRef | None:
        """The next image of the buffer; images overwritten in it leave a gap in the sequence."""
        with self._polling:
            return self._next_frame(time.monotonic() + timeout)

    def _next_frame(self, end: float) -> FrameRef | None:
        core = self.mm.core
        if self._period and not self._shoot(end):
            return None
        while not self._stopped.is_set():
            looked = time.monotonic()
            if core.getRemainingImageCount():
                return self._pop(core)
            self._clock.empty(looked)
            if looked >= end:
                self._check_alive(core)
                return None
            self._stopped.wait(_LOOK)
        return None

    def _shoot(self, end: float) -> bool:
        """Start an exposure when it is due; whether one is under way."""
        if self._waiting_for_shot:
            return True
        wait = self._due - time.monotonic()
        if wait > 0 and (self._stopped.wait(min(wait, max(0.0, end - time.monotonic()))) or self._due > end):
            return False
        self._do("does not start", self._one_image)
        self._due = max(self._due, time.monotonic() - self._period) + self._period
        self._waiting_for_shot = True
        return True

    def _one_image(self, core: Any) -> None:
        if core.isSequenceRunning(self.camera):  # its image came; it is about to end
            core.stopSequenceAcquisition(self.camera)
        self._clock.begin()  # the time of its images begins anew too
        core.startSequenceAcquisition(self.camera, 1, 0.0, True)

    def _check_alive(self, core: Any) -> None:
        if self._stopped.is_set() or core.isSequenceRunning(self.camera) or core.getRemainingImageCount():
            return
        raise MicroManagerError(
            f"{self.label}: camera {self.camera} stopped by itself",
            hint="see Micro-Manager's log; is the camera connected, and the buffer large enough for one image?",
        )

    def _pop(self, core: Any) -> FrameRef | None:
        metadata = self.mm.module.Metadata()
        # The lock: pymmcore asks the adapter for the size with Python's own lock held (see Lane).
        with self.mm.lane(self.camera).lock:
            before = core.getRemainingImageCount()
            with translated(f"{self.label}: an image cannot be taken"):
                pixels = core.popNextImageMD(metadata)
            after = core.getRemainingImageCount()
        sequence = self._number(metadata)
        self._waiting_for_shot = False
        self.copied += 1
        frame = self._format
        assert frame is not None
        if pixels.shape != frame.shape or pixels.dtype != frame.dtype_numpy:
            raise MicroManagerError(
                f"{self.label}: an image of {pixels.shape} {pixels.dtype.str} came, "
                f"{frame.shape} {frame.dtype_numpy} were expected",
                hint="a property that changes the image was set while the camera ran",
            )
        if not self._period and (after < before - 1 or after >= core.getBufferTotalCapacity()):
            logger.warning("%s: frame %d may have been overwritten while it was copied: lost", self.label, sequence)
            return None
        ticks = _ticks(metadata)
        return FrameRef(
            pixels,
            sequence=sequence,
            host_time=self._clock.arrival(ticks),
            hardware_time=ticks,
            camera=self.label,
            book=self.book,
        )

    def _number(self, metadata: Any) -> int:
        if self._period:
            self._shots += 1
            return self._shots - 1
        if not metadata.HasTag(self._frame_number):
            raise MicroManagerError(
                f"{self.label}: images have no tag {self._frame_number!r}, so lost ones cannot be counted",
                hint=f"frame_number= may be one of {', '.join(metadata.GetKeys())}",
            )
        number = int(metadata.GetSingleTag(self._frame_number).GetValue())
        if self._first < 0:
            # The core begins with 0: what it overwrote before the first look is lost. Other counters begin anywhere.
            self._first = 0 if self._frame_number == "ImageNumber" else number
        return number - self._first


def _ticks(metadata: Any) -> int:
    """Nanoseconds since the camera started, by the adapter's or the core's clock; 0 if it has none."""
    if not metadata.HasTag(_ELAPSED):
        return 0
    elapsed = float(metadata.GetSingleTag(_ELAPSED).GetValue())
    return round(elapsed * 1e6) if math.isfinite(elapsed) and elapsed > 0 else 0
