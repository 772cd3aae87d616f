"""Basler cameras: GigE Vision, USB3 Vision and CoaXPress, through Basler's pylon SDK.

The SDK comes with the package ``pypylon``: ``pip install 'rdaq-ophyd[pylon]'``. Feature names are those of the GenICam
Standard Features Naming Convention; cameras that have only Basler's older ones (``ExposureTimeAbs``) work too.

The emulator is switched on by the environment variable ``PYLON_CAMEMU=<number of cameras>``, set before the first
camera of the process is opened. It takes pictures of its own, or shows image files.

Manual: *Basler Product Documentation* and the *GenICam Standard Features Naming Convention*.

Run against: Basler's SDK with its emulator; not on a physical camera.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ophyd_async.core import PathProvider, SignalRW

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

from ._pylon_blocks import Blocks
from ._pylon_held import hold, let_go
from ._pylon_hints import hint
from ._pylon_memory import GrabMemory, instant_camera
from ._pylon_pace import PylonPace
from ._pylon_trigger import PylonTriggers
from ._pylon_wait import Results

logger = logging.getLogger(__name__)
__all__ = ["PylonCamera", "PylonDriver"]

_EXPOSURE = ("ExposureTime", "ExposureTimeAbs")  # µs
_US = 1e6
SPARE = 2
"""Grab buffers besides, which pylon always has: asked for a frame with none of them, its emulator fails for good."""


def _import_pylon() -> tuple[Any, Any]:
    """pypylon's two modules, imported only when a camera is opened."""
    try:
        return importlib.import_module("pypylon.pylon"), importlib.import_module("pypylon.genicam")
    except ImportError as error:
        raise CameraError(
            "Basler cameras need the package pypylon, which is not installed",
            hint="pip install 'rdaq-ophyd[pylon]'",
        ) from error


class PylonDriver(PylonTriggers, PylonPace):
    """One Basler camera; frames are leases on pylon's grab buffers.

    :param serial: serial number on the camera's label; None takes the only camera there is.
    :param buffers: grab buffers that may be out on lease; with all of them out the camera waits or loses frames.
    :param image_files: a picture or a directory of pictures that the emulator shows instead of its own.
    :param label: name for messages.
    """

    def __init__(
        self,
        serial: str | None = None,
        *,
        buffers: int = 16,
        image_files: Path | str | None = None,
        label: str = "pylon",
    ) -> None:
        self.label = label
        self.book = LeaseBook(label)
        self._serial = serial
        self._buffers = buffers
        self._memory = GrabMemory(buffers + SPARE)
        self._image_files = Path(image_files) if image_files is not None else None
        self._pylon: Any = None
        self._genicam: Any = None
        self._camera: Any = None
        self._identity = CameraIdentity("", "", "")
        self._blocks = Blocks()
        self._clock = CameraClock()
        self._results: Results

    # -- opening --------------------------------------------------------------------------------------------

    def open(self) -> CameraIdentity:
        """Find the camera by its serial number and open it; settings stay as the camera has them.

        :raises CameraError: pypylon is missing, no such camera, or somebody else has it.
        """
        if self._camera is not None:
            if self._camera.IsOpen() and not self._camera.IsCameraDeviceRemoved():
                return self._identity
            self.close()  # it was unplugged, or its device destroyed
        self._pylon, self._genicam = _import_pylon()
        try:
            with self._sdk("cannot be opened"):
                self._connect()
                self._set_up()
        except BaseException:
            self._let_go()
            raise
        return self._identity

    def _connect(self) -> None:
        info = self._find()
        self._identity = CameraIdentity(info.GetVendorName(), info.GetModelName(), info.GetSerialNumber())
        hold(self._identity.serial, self)
        self._camera = instant_camera(self._pylon, info, self._memory)
        self._camera.Open()
        self._results = Results(self._camera, self._pylon.TimeoutHandling_Return)
        self._blocks = Blocks(info.GetDeviceClass())

    def _find(self) -> Any:
        found = list(self._pylon.TlFactory.GetInstance().EnumerateDevices())
        names = ", ".join(f"{d.GetModelName()} {d.GetSerialNumber()}" for d in found)
        if not found:
            raise CameraError(
                f"{self.label}: no Basler camera found",
                hint="check cable and power; PYLON_CAMEMU=1 in the environment emulates one",
            )
        matching = [d for d in found if self._serial in (None, d.GetSerialNumber())]
        if not matching:
            raise CameraError(
                f"{self.label}: no Basler camera with serial number {self._serial}", hint=f"there are: {names}"
            )
        if len(matching) > 1:
            raise CameraError(f"{self.label}: {len(matching)} Basler cameras", hint=f"give a serial number: {names}")
        return matching[0]

    def _set_up(self) -> None:
        camera = self._camera
        camera.MaxNumBuffer.Value = self._buffers + SPARE
        self._feature("AcquisitionMode", "Continuous")
        self._feature("ExposureAuto", "Off")
        if self._has("TriggerSelector"):
            for selector in camera.TriggerSelector.GetSymbolics():
                self._feature("TriggerSelector", selector)
                self._feature("TriggerMode", "Off")
        if self.pixel_format_name() not in {f.value for f in PixelFormat}:
            self.set_pixel_format(self.pixel_formats()[0])
        if self._image_files is not None:
            self._show_files(self._image_files)

    def _show_files(self, path: Path) -> None:
        if not self._has("ImageFileMode"):
            raise CameraError(f"{self.label}: only the emulator shows image files", hint="leave image_files out")
        if not path.exists():
            raise CameraError(f"{self.label}: {path} does not exist", hint="give a picture or a directory of them")
        self._camera.TestImageSelector.Value = "Off"
        self._camera.ImageFilename.Value = str(path)
        self._camera.ImageFileMode.Value = "On"

    def close(self) -> None:
        """Close the camera; frames on lease stay valid. Idempotent."""
        try:
            if self._camera is not None and not self._camera.IsCameraDeviceRemoved():
                with self._sdk("cannot be closed"):
                    self._camera.Close()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Nobody holds it any more, also where it does not answer."""
        camera, self._camera = self._camera, None
        let_go(self._identity.serial, self)
        self._memory.let_go()
        if camera is not None:
            camera.DestroyDevice()  # closes it; what fails in that is ignored by pylon

    # -- features -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _sdk(self, what: str) -> Iterator[None]:
        """Turn what pylon raises into an error that says what to do."""
        try:
            yield
        except RdaqError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())
            what = f"{self.label}: camera {self._identity.serial} {what}: {text}"
            raise CameraError(what, hint=hint(text)) from error

    def _open_camera(self) -> Any:
        if self._camera is None:
            raise CameraError(f"{self.label} is not open", hint="connect the device first")
        return self._camera

    def _has(self, name: str) -> bool:
        node = self._camera.GetNodeMap().GetNode(name)
        return node is not None and bool(self._genicam.IsAvailable(node))

    def _feature(self, name: str, value: Any) -> None:
        """Set a feature where the camera has it."""
        node = self._camera.GetNodeMap().GetNode(name)
        if node is not None and self._genicam.IsWritable(node):
            getattr(self._camera, name).Value = value

    def _first(self, names: tuple[str, ...]) -> Any:
        self._open_camera()
        for name in names:
            if self._has(name):
                return getattr(self._camera, name)
        raise CameraError(f"{self.label}: the camera has none of {', '.join(names)}", hint="is it an area-scan camera?")

    def exposure(self) -> float:
        """Exposure time, s."""
        with self._sdk("has no exposure time"):
            return float(self._first(_EXPOSURE).Value) / _US

    def set_exposure(self, seconds: float) -> None:
        """Set the exposure time, s."""
        with self._sdk(f"refuses an exposure of {seconds} s"):
            self._first(_EXPOSURE).Value = seconds * _US
            for name in _EXPOSURE[1:]:
                if self._has(name):  # the emulator has both, each for itself, and is paced by the older one
                    getattr(self._camera, name).Value = seconds * _US

    def exposure_range(self) -> Range:
        """Allowed exposure times, s."""
        with self._sdk("has no exposure time"):
            self._first(_EXPOSURE)
            nodes = [getattr(self._camera, name) for name in _EXPOSURE if self._has(name)]
            return Range(max(node.Min for node in nodes) / _US, min(node.Max for node in nodes) / _US)

    def roi(self) -> Roi:
        """The region that is read out."""
        camera = self._open_camera()
        with self._sdk("has no region"):
            return Roi(camera.OffsetX.Value, camera.OffsetY.Value, camera.Width.Value, camera.Height.Value)

    def set_roi(self, roi: Roi) -> None:
        """Read out this region."""
        camera = self._open_camera()
        with self._sdk(f"refuses {roi}"):
            camera.OffsetX.Value = camera.OffsetY.Value = 0  # else a larger width has no room
            camera.Width.Value, camera.Height.Value = roi.width, roi.height
            camera.OffsetX.Value, camera.OffsetY.Value = roi.x, roi.y

    def sensor_size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        with self._sdk("has no sensor size"):
            return int(self._first(("SensorWidth", "WidthMax")).Value), int(
                self._first(("SensorHeight", "HeightMax")).Value
            )

    def roi_step(self) -> Roi:
        """Granularity of the region."""
        camera = self._open_camera()
        with self._sdk("has no region"):
            return Roi(camera.OffsetX.Inc, camera.OffsetY.Inc, camera.Width.Inc, camera.Height.Inc)

    def pixel_format_name(self) -> str:
        """GenICam name of the pixel format in use."""
        with self._sdk("has no pixel format"):
            return str(self._open_camera().PixelFormat.Value)

    def pixel_format(self) -> PixelFormat:
        """The pixel format in use."""
        return PixelFormat(self.pixel_format_name())

    def set_pixel_format(self, pixel_format: PixelFormat) -> None:
        """Use another one."""
        camera = self._open_camera()
        with self._sdk(f"refuses {pixel_format.value}"):
            camera.PixelFormat.Value = pixel_format.value

    def pixel_formats(self) -> tuple[PixelFormat, ...]:
        """Those of ours that the camera has."""
        camera = self._open_camera()
        with self._sdk("has no pixel format"):
            names = set(camera.PixelFormat.GetSymbolics())
        found = tuple(f for f in PixelFormat if f.value in names)
        if not found:
            raise CameraError(
                f"{self.label}: no monochrome pixel format among {sorted(names)}", hint="use a mono camera"
            )
        return found

    def frame_format(self) -> FrameFormat:
        """Shape and dtype of the next frames."""
        roi = self.roi()
        return FrameFormat(roi.height, roi.width, self.pixel_format().dtype_numpy)

    # -- acquiring ------------------------------------------------------------------------------------------

    def start(self, period: float) -> None:
        """Start grabbing, every ``period`` seconds, or as fast as the camera can if that is 0.

        :raises LimitError: it cannot keep that period.
        """
        camera = self._open_camera()
        with self._sdk("does not start"):
            self._set_rate(period)
            self._format = self.frame_format()
            self._blocks.begin()
            self._clock = CameraClock(self._tick())
            camera.StartGrabbing(self._pylon.GrabStrategy_OneByOne)

    def stop(self) -> None:
        """Stop grabbing, also within an exposure."""
        camera = self._camera
        if camera is not None and camera.IsGrabbing():
            with self._sdk("does not stop"):
                camera.StopGrabbing()

    def interrupt(self) -> None:
        """Have a wait for a frame end soon, whatever its time-out; from any other thread."""
        self.stop()

    def next_frame(self, timeout: float) -> FrameRef | None:
        """The next frame that arrived whole; one that did not leaves a gap in the sequence."""
        camera, looked = self._open_camera(), time.monotonic()
        if not self.book.wait_below(self._buffers, timeout):
            return None
        with self._sdk("failed while taking frames"):
            result = self._results.next(camera, timeout)
            if not result.IsValid():
                if camera.IsCameraDeviceRemoved():
                    raise CameraError(
                        f"{self.label}: the camera was unplugged",
                        hint="check the cable, then connect(force_reconnect=True)",
                    )
                self._clock.empty(looked)
                return None
            sequence = self._blocks.number(result.BlockID, result.NumberOfSkippedImages)
            if not result.GrabSucceeded():
                logger.warning("%s: frame %d did not arrive whole: %s", self.label, sequence, result.ErrorDescription)
                result.Release()
                return None
            return self._lease(result, sequence)

    def _lease(self, result: Any, sequence: int) -> FrameRef:
        if result.GetPaddingX():
            raise CameraError(
                f"{self.label}: rows of {result.Width} pixels are padded", hint="use another region width"
            )
        frame = self._format
        pixels = np.frombuffer(result.GetImageMemoryView(), frame.dtype_numpy).reshape(frame.shape)
        return FrameRef(
            pixels,
            sequence=sequence,
            host_time=self._clock.arrival(result.TimeStamp),
            hardware_time=result.TimeStamp,
            camera=self.label,
            give_back=result.Release,
            book=self.book,
        )


class PylonCamera(Camera):
    """A Basler camera.

    :param path_provider: where the frame files go.
    :param serial: serial number on the camera's label; None takes the only camera there is.
    :param name: of the device.
    :param image_files: pictures for the emulator.
    :param buffers: grab buffers.
    :param compression: of its files to begin with.
    """

    trigger_line: SignalRW[str]
    """Input whose edges start exposures where external triggers are asked for (``DetectorTrigger.EXTERNAL_EDGE``)."""

    def __init__(
        self,
        path_provider: PathProvider,
        serial: str | None = None,
        name: str = "",
        *,
        image_files: Path | str | None = None,
        buffers: int = 16,
        compression: str = "none",
    ) -> None:
        self.driver = PylonDriver(serial, buffers=buffers, image_files=image_files)
        super().__init__(self.driver, path_provider, name=name, compression=compression)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; messages and warnings of the camera use it too."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.driver.label = self.driver.book.camera = name or "pylon"
