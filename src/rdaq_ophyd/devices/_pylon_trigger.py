"""External and software triggers of a Basler camera, by the features of the GenICam naming convention."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.frames import CameraClock

from ._pylon_wait import ready_for_trigger

SOFTWARE = "Software"
"""The input whose edges :meth:`PylonTriggers.fire` makes."""
_SELECTOR = "FrameStart"


class PylonTriggers(ABC):
    """Which signal starts an exposure of a PylonDriver."""

    label: str
    _pylon: Any
    _clock: CameraClock
    """Anew with each start."""
    _armed = False

    @abstractmethod
    def _open_camera(self) -> Any: ...

    @abstractmethod
    def _has(self, name: str) -> bool: ...

    @abstractmethod
    def _sdk(self, what: str) -> AbstractContextManager[None]: ...

    def trigger_lines(self) -> tuple[str, ...]:
        """The electrical inputs, and ``Software`` for :meth:`fire`; empty where the camera cannot be triggered."""
        camera = self._open_camera()
        with self._sdk("does not tell its trigger inputs"):
            if not self._has("TriggerSource"):
                return ()
            self._select(camera)
            known = camera.TriggerSource.GetSymbolics()
        return tuple(name for name in known if name.startswith("Line") or name == SOFTWARE)

    def arm_edges(self, line: str | None) -> None:
        """Expose at each rising edge of ``line`` after the next start; None: the camera times itself.

        :raises CameraError: the camera has no such input, or refuses it.
        """
        camera = self._open_camera()
        if line is None:
            with self._sdk("keeps its trigger"):
                if self._armed and self._has("TriggerMode"):
                    self._select(camera)
                    camera.TriggerMode.Value = "Off"
            self._armed = False
            return
        known = self.trigger_lines()
        if line not in known:
            raise CameraError(
                f"{self.label}: the camera has no trigger input {line!r}",
                hint=f"set trigger_line to one of {', '.join(known)}" if known else "this camera cannot be triggered",
            )
        with self._sdk(f"refuses triggers from {line}"):
            self._make_input(camera, line)
            self._select(camera)
            camera.TriggerSource.Value = line
            if line != SOFTWARE and self._has("TriggerActivation"):
                camera.TriggerActivation.Value = "RisingEdge"
            self._armed = True
            camera.TriggerMode.Value = "On"

    def fire(self, timeout: float = 1.0) -> bool:
        """Give an edge of ``Software`` as soon as the camera is ready; False where it is not in ``timeout`` seconds."""
        camera = self._open_camera()
        with self._sdk("takes no software trigger"):
            clock = self._clock

            def wanted() -> bool:
                return bool(camera.IsGrabbing()) and self._clock is clock

            ready = ready_for_trigger(camera, self._pylon.TimeoutHandling_Return, timeout, wanted=wanted)
            if ready:
                camera.ExecuteSoftwareTrigger()
            return ready

    def _select(self, camera: Any) -> None:
        if self._has("TriggerSelector") and _SELECTOR in camera.TriggerSelector.GetSymbolics():
            camera.TriggerSelector.Value = _SELECTOR

    def _make_input(self, camera: Any, line: str) -> None:
        """Lines that may be either (GPIO) become inputs; opto-coupled ones are that already."""
        if self._has("LineMode") and line in camera.LineSelector.GetSymbolics():
            camera.LineSelector.Value = line
            if camera.LineMode.Value != "Input":
                camera.LineMode.Value = "Input"
