"""PVCAM cameras: Teledyne Photometrics and QImaging (Prime, Kinetix, Iris, Retiga), through PVCAM.

The package ``pyvcam`` is a thin layer: ``pip install 'rdaq-ophyd[pvcam]'``. The PVCAM runtime and the camera's driver
come from Teledyne Vision Solutions and must be installed besides; without them the error says which is missing.

Manual: *PVCAM Software Developer's Kit*, through pyvcam 2.3.2.

Run against: a stand-in for pyvcam; not with PVCAM, not on a camera.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from ophyd_async.core import PathProvider, SignalRW

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.errors import CameraError, RdaqError
from rdaq_ophyd.frames import (
    Camera,
    CameraClock,
    CameraIdentity,
    FrameFormat,
    FrameRef,
    LeaseBook,
    PixelFormat,
    Range,
    Roi,
)

__all__ = ["PvcamCamera", "PvcamDriver"]

# Units of the exposure time by pyvcam's exp_res, s, finest first (EXP_RES_ONE_MICROSEC, EXP_RES_ONE_MILLISEC).
_RESOLUTIONS = {1: 1e-6, 0: 1e-3}
_TIMEOUT = "Frame timeout"  # how pyvcam says that no frame came
_INPUT = "Line1"
_PICOSECOND = 1e-12  # unit of timestampEofPs, the end of the frame
# PVCAM has to be initialised once in a process, and to be left by whoever leaves last.
_users = 0
_users_lock = threading.Lock()


def _import() -> tuple[Any, Any, Any]:
    try:
        modules = tuple(importlib.import_module(f"pyvcam.{name}") for name in ("pvc", "camera", "constants"))
    except ImportError as error:
        raise CameraError(
            f"PVCAM cameras need the package pyvcam and the vendor's PVCAM runtime ({error})",
            hint="pip install 'rdaq-ophyd[pvcam]', and install PVCAM from Teledyne Vision Solutions",
        ) from error
    return modules[0], modules[1], modules[2]


class PvcamDriver:
    """One PVCAM camera.

    PVCAM overwrites its circular buffer whether or not a frame is on lease. So each frame is copied out of it, once,
    counted in ``copied``, and the lease is on that copy.

    :param camera: name of the camera in PVCAM; None takes the only one there is.
    :param buffers: frames in PVCAM's circular buffer.
    :param label: name for messages.
    """

    def __init__(self, camera: str | None = None, *, buffers: int = 32, label: str = "pvcam") -> None:
        self.label = label
        self.book = LeaseBook(label)
        self.copied = 0
        self._wanted, self._buffers = camera, buffers
        self._camera: Any = None
        self._pvc: Any = None
        self._constants: Any = None
        self._identity = CameraIdentity("", "", "")
        self._unit = 1e-3
        self._exposure = 0.01
        self._edges = False
        self._first: int | None = None
        self._clock = CameraClock(_PICOSECOND)
        self._running = threading.Event()

    @contextlib.contextmanager
    def _sdk(self, what: str) -> Iterator[None]:
        """Turn what pyvcam raises into an error that says what to do."""
        try:
            yield
        except RdaqError:
            raise
        except (RuntimeError, AttributeError, ValueError, KeyError, IndexError, MemoryError) as error:
            text = " ".join(str(error).split())
            hint = "check cable and power, or try it in PVCamTest"
            raise CameraError(f"{self.label}: camera {self._identity.serial} {what}: {text}", hint=hint) from error

    def _open_camera(self) -> Any:
        if self._camera is None:
            raise CameraError(f"{self.label} is not open", hint="connect the device first")
        return self._camera

    # -- opening --------------------------------------------------------------------------------------------

    def open(self) -> CameraIdentity:
        """Find the camera and open it, with metadata where it has them: they number the frames.

        :raises CameraError: pyvcam or the runtime is missing, no such camera, or another program has it.
        """
        if self._camera is not None:
            return self._identity
        self._pvc, module, self._constants = _import()
        with self._sdk("cannot be opened"):
            _enter(self._pvc)
            try:
                self._camera = self._opened(module)
            except BaseException:
                _leave(self._pvc)
                raise
        return self._identity

    def _opened(self, module: Any) -> Any:
        names = module.Camera.get_available_camera_names()
        chosen = [n for n in names if self._wanted in (None, n)]
        if len(chosen) != 1:
            what = f"no camera {self._wanted or ''}".strip() if not chosen else f"{len(chosen)} cameras"
            there = ", ".join(names) or "none: check cable, power and the camera's driver"
            raise CameraError(f"{self.label}: PVCAM finds {what}", hint=f"name one of those there are: {there}")
        camera = module.Camera.select_camera(chosen[0])
        camera.open()
        try:
            camera.binning = 1
            if camera.check_param(self._constants.PARAM_METADATA_ENABLED):
                camera.metadata_enabled = True
            known = camera.exp_resolutions.values()
            resolution = next((r for r in _RESOLUTIONS if r in known), 0)
            if resolution in known:
                camera.exp_res = resolution
            self._unit = _RESOLUTIONS[resolution]
            self._identity = CameraIdentity("Teledyne Photometrics", camera.chip_name, camera.serial_no)
        except BaseException:
            camera.close()
            raise
        return camera

    def close(self) -> None:
        """Close it; frames on lease stay valid. Idempotent."""
        camera = self._camera
        if camera is None:
            return
        self.stop()
        self._camera = None
        with self._sdk("cannot be closed"):
            try:
                camera.close()
            finally:
                _leave(self._pvc)

    # -- settings -------------------------------------------------------------------------------------------

    def exposure(self) -> float:
        """Exposure time, s."""
        return self._exposure

    def set_exposure(self, seconds: float) -> None:
        """Set the exposure time, s; used from the next start on."""
        self._open_camera()
        self._exposure = max(1, round(seconds / self._unit)) * self._unit

    def exposure_range(self) -> Range:
        """Allowed exposure times, s."""
        camera, const = self._open_camera(), self._constants
        with self._sdk("does not tell its exposures"):
            low = int(camera.get_param(const.PARAM_EXPOSURE_TIME, const.ATTR_MIN))
            high = int(camera.get_param(const.PARAM_EXPOSURE_TIME, const.ATTR_MAX))
        return Range(max(1, low) * self._unit, high * self._unit, self._unit)

    def roi(self) -> Roi:
        """The region that is read out."""
        with self._sdk("has no region"):
            (region, *_) = self._open_camera().rois
            return Roi(region.s1, region.p1, region.s2 - region.s1 + 1, region.p2 - region.p1 + 1)

    def set_roi(self, roi: Roi) -> None:
        """Read out this region, and no other."""
        camera = self._open_camera()
        with self._sdk(f"refuses {roi}"):
            camera.reset_rois()
            camera.set_roi(roi.x, roi.y, roi.width, roi.height)

    def sensor_size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        with self._sdk("does not tell its size"):
            width, height = self._open_camera().sensor_size
        return int(width), int(height)

    def roi_step(self) -> Roi:
        """Any region."""
        return Roi(1, 1, 1, 1)

    def pixel_format(self) -> PixelFormat:
        """By the bit depth of the gain and speed in use."""
        with self._sdk("does not tell its bit depth"):
            depth = int(self._open_camera().bit_depth)
        return {8: PixelFormat.MONO8, 10: PixelFormat.MONO10, 12: PixelFormat.MONO12}.get(depth, PixelFormat.MONO16)

    def set_pixel_format(self, pixel_format: PixelFormat) -> None:
        """The one there is; another one is a matter of gain and speed."""

    def pixel_formats(self) -> tuple[PixelFormat, ...]:
        """The one in use."""
        return (self.pixel_format(),)

    def frame_format(self) -> FrameFormat:
        """Shape and dtype of the next frames."""
        roi = self.roi()
        return FrameFormat(roi.height, roi.width, self.pixel_format().dtype_numpy)

    def trigger_lines(self) -> tuple[str, ...]:
        """``Line1`` stands for the trigger input, where the camera knows rising edges."""
        with self._sdk("does not tell its trigger modes"):
            known = self._open_camera().exp_modes.values()
        return (_INPUT,) if self._constants.EXT_TRIG_EDGE_RISING in known else ()

    def arm_edges(self, line: str | None) -> None:
        """Expose at rising edges from the next start on; None: the camera times itself."""
        camera, const = self._open_camera(), self._constants
        if line is not None and line not in self.trigger_lines():
            raise CameraError(f"{self.label}: the camera has no trigger input {line!r}", hint="see its manual")
        with self._sdk(f"refuses triggers from {line}"):
            if line is not None:
                camera.exp_mode = const.EXT_TRIG_EDGE_RISING
            elif self._edges:
                known = camera.exp_modes.values()
                camera.exp_mode = const.EXT_TRIG_INTERNAL if const.EXT_TRIG_INTERNAL in known else const.TIMED_MODE
        self._edges = line is not None

    # -- acquiring ------------------------------------------------------------------------------------------

    def check_period(self, period: float) -> None:
        """Refuse all: PVCAM has no frame rate.

        :raises CameraError: always.
        """
        raise CameraError(
            f"{self.label}: PVCAM times no pauses between exposures: not a frame every {period:g} s",
            hint="use deadtime=0, or pulses at the trigger input",
        )

    def start(self, period: float) -> None:
        """Acquire as fast as exposure and readout allow.

        :raises CameraError: a period is asked for.
        """
        camera = self._open_camera()
        if period:
            self.check_period(period)
        with self._sdk("does not start"):
            self._format, self._first = self.frame_format(), None
            self._clock.begin()
            camera.start_live(
                exp_time=round(self._exposure / self._unit), buffer_frame_count=self._buffers, reset_frame_counter=True
            )
        self._running.set()

    def stop(self) -> None:
        """Stop, also within an exposure."""
        if self._running.is_set():
            self._running.clear()
            with self._sdk("does not stop"):
                self._camera.finish()

    def next_frame(self, timeout: float) -> FrameRef | None:
        """The oldest frame that was not taken; one that may have been overwritten while it was copied is lost."""
        camera, looked = self._open_camera(), time.monotonic()
        with self._sdk("failed while taking frames"):
            try:
                said, _, count = camera.poll_frame(timeout_ms=max(1, int(timeout * 1000)), copyData=True)
            except RuntimeError as error:
                if str(error).startswith(_TIMEOUT):
                    self._clock.empty(looked)
                elif self._running.is_set():
                    raise
                return None
            self.copied += 1
            if self._newest(camera, count) - count >= self._buffers - 1:
                return None
        pixels = said["pixel_data"]
        if pixels.shape != self._format.shape or pixels.dtype != self._format.dtype_numpy:
            raise CameraError(
                f"{self.label}: a frame of {pixels.shape} {pixels.dtype} came, {self._format.shape} were expected",
                hint="gain, speed or binning was changed while it ran",
            )
        header = said.get("meta_data", {}).get("frame_header", {})
        number = int(header.get("frameNr", count))
        if self._first is None:
            self._first = min(number, 1)  # PVCAM counts from 1
        ticks = int(header.get("timestampEofPs", 0))
        return FrameRef(
            pixels,
            sequence=number - self._first,
            host_time=self._clock.arrival(ticks),
            hardware_time=ticks,
            camera=self.label,
            book=self.book,
        )

    @staticmethod
    def _newest(camera: Any, count: int) -> int:
        """The count of the frame that came last."""
        try:
            _, _, newest = camera.poll_frame(timeout_ms=0, oldestFrame=False, copyData=False)
        except RuntimeError:
            return count  # none came since
        return int(newest)


def _enter(pvc: Any) -> None:
    global _users
    with _users_lock:
        if _users == 0:
            pvc.init_pvcam()
        _users += 1


def _leave(pvc: Any) -> None:
    global _users
    with _users_lock:
        _users -= 1
        if _users == 0:
            pvc.uninit_pvcam()


class PvcamCamera(Camera):
    """A Teledyne Photometrics or QImaging camera.

    :param path_provider: where the frame files go.
    :param camera: its name in PVCAM, such as ``"pvcamUSB_0"``; None takes the only one there is.
    :param name: of the device.
    :param buffers: frames in PVCAM's circular buffer.
    """

    stop_capability = StopCapability(StopMeans.SOFTWARE, note="the exposure in progress is thrown away; not tried yet")

    trigger_line: SignalRW[str]
    """Input whose edges start exposures where external triggers are asked for (``DetectorTrigger.EXTERNAL_EDGE``)."""

    def __init__(
        self, path_provider: PathProvider, camera: str | None = None, name: str = "", *, buffers: int = 32
    ) -> None:
        self.driver = PvcamDriver(camera, buffers=buffers)
        super().__init__(self.driver, path_provider, name=name)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; messages and warnings of the camera use it too."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.driver.label = self.driver.book.camera = name or "pvcam"
