"""Frame rates of a Basler camera, by the features of the GenICam naming convention."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from rdaq_ophyd.errors import CameraError, LimitError
from rdaq_ophyd.frames import refuse_faster

_RATE = ("AcquisitionFrameRate", "AcquisitionFrameRateAbs")  # frames a second
# The rate that exposure, region, pixel format and link leave, by families of cameras; frames a second.
_REACHED = ("ResultingFrameRate", "ResultingFrameRateAbs", "BslResultingAcquisitionFrameRate")


class PylonPace(ABC):
    """How fast a PylonDriver takes frames, and how finely it tells their times."""

    label: str
    _genicam: Any

    @abstractmethod
    def _open_camera(self) -> Any: ...

    @abstractmethod
    def _has(self, name: str) -> bool: ...

    @abstractmethod
    def _feature(self, name: str, value: Any) -> None: ...

    @abstractmethod
    def _sdk(self, what: str) -> AbstractContextManager[None]: ...

    def check_period(self, period: float) -> None:
        """Refuse a period, s, that the camera cannot keep as it is set now.

        :raises LimitError: naming the rate that it reaches.
        :raises CameraError: it has no frame rate to set.
        """
        camera = self._open_camera()
        with self._sdk("does not tell its frame rate"):
            rate = self._rate(camera)
            if rate is None:
                raise CameraError(
                    f"{self.label}: the camera times no pauses between exposures",
                    hint="use deadtime=0, or pulses at the trigger input",
                )
            rate.Value = rate.Max  # else what it reaches is what was asked for last; each start sets it anew
            slowest, most = rate.Min, min([rate.Max, *(getattr(camera, n).Value for n in _REACHED if self._has(n))])
        refuse_faster(self.label, period, 1 / most, "exposure, region, pixel format and link")
        if period * slowest > 1:
            raise LimitError(
                f"{self.label}: a frame every {period:g} s is too seldom", hint=f"choose {1 / slowest:g} s or less"
            )

    def _tick(self) -> float:
        """Of the time stamps, s: GigE cameras tell it, and it follows their PTP; that of the others is 1 ns."""
        camera = self._open_camera()
        return 1 / camera.GevTimestampTickFrequency.Value if self._has("GevTimestampTickFrequency") else 1e-9

    def _rate(self, camera: Any) -> Any:
        """The feature, ready to be set; None where the camera has none."""
        found = next((getattr(camera, name) for name in _RATE if self._has(name)), None)
        if found is None:
            return None
        self._feature("AcquisitionFrameRateEnable", True)
        return found if self._genicam.IsWritable(found) else None

    def _set_rate(self, period: float) -> None:
        """One frame every ``period`` seconds; 0 for as fast as it can."""
        if period:
            self.check_period(period)
        rate = self._rate(self._open_camera())
        if rate is not None:  # what is a rounding off the range was let through
            rate.Value = max(rate.Min, min(1 / period, rate.Max)) if period else rate.Max
