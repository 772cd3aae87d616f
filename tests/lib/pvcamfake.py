"""A stand-in for pyvcam 2.3.2 where our driver meets it: names, arguments, shapes and messages of that version.

It knows nothing of a real camera's timing or of PVCAM itself.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from types import ModuleType, SimpleNamespace

import numpy as np


def modules(names=("pvcamUSB_0",)):
    """The three modules by their names, and the one camera behind them."""
    log: list[str] = []
    camera = FakeCamera(names[0] if names else "")
    package, pvc, camera_module, constants = (
        ModuleType(n) for n in ("pyvcam", "pyvcam.pvc", "pyvcam.camera", "pyvcam.constants")
    )
    pvc.init_pvcam = lambda: log.append("init")
    pvc.uninit_pvcam = lambda: log.append("uninit")
    camera_module.Camera = SimpleNamespace(
        get_available_camera_names=lambda: list(names), select_camera=lambda name: camera
    )
    vars(constants).update(
        PARAM_METADATA_ENABLED=1, PARAM_EXPOSURE_TIME=2, ATTR_MIN=3, ATTR_MAX=4,
        EXT_TRIG_INTERNAL=1792, EXT_TRIG_EDGE_RISING=2304, TIMED_MODE=0,
    )  # fmt: skip
    found = {m.__name__: m for m in (package, pvc, camera_module, constants)}
    return found, camera, log


class FakeCamera:
    """Frames at the pace of the exposure, into a circular buffer that is overwritten."""

    def __init__(self, name):
        self.name, self.is_open, self.in_use = name, False, False
        self.chip_name, self.serial_no, self.bit_depth = "GS2020", "A12B345", 12
        self.exp_resolutions = {"One Millisecond": 0, "One Microsecond": 1}
        self.exp_modes = {"Internal Trigger": 1792, "Edge Trigger": 2304}
        self.exp_res, self.exp_mode, self.binning, self.metadata_enabled = 0, 1792, 2, False
        self.sensor_size = (128, 96)
        self.drop: set[int] = set()
        self.frame_ps = 10**9  # by its clock, from frame to frame
        self.reset_rois()

    def open(self):
        if self.in_use:
            raise RuntimeError("Failed to open camera.")
        self.is_open = True

    def close(self):
        self.is_open = False

    def check_param(self, parameter):
        return True

    def get_param(self, parameter, attribute):
        return {3: 20, 4: 10_000_000}[attribute]

    def reset_rois(self):
        self.rois = [SimpleNamespace(s1=0, s2=127, p1=0, p2=95)]

    def set_roi(self, s1, p1, w, h):
        if s1 + w > 128 or p1 + h > 96:
            raise ValueError("Could not add ROI. ROI extends beyond limits of sensor")
        self.rois = [SimpleNamespace(s1=s1, s2=s1 + w - 1, p1=p1, p2=p1 + h - 1)]

    def start_live(self, exp_time, buffer_frame_count, reset_frame_counter):
        assert isinstance(exp_time, int)
        assert reset_frame_counter
        self.period = exp_time * {0: 1e-3, 1: 1e-6}[self.exp_res]
        region = self.rois[0]
        shape = (region.p2 - region.p1 + 1, region.s2 - region.s1 + 1)
        self.ring = [np.empty(shape, "<u2") for _ in range(buffer_frame_count)]
        self.queue: deque[int] = deque(maxlen=buffer_frame_count)
        self.count, self.began = 0, time.monotonic()
        self.aborted = threading.Event()

    def finish(self):
        self.aborted.set()

    def expose(self, frames):
        """So many frames come at once."""
        for _ in range(frames):
            self.count += 1
            if self.count in self.drop:
                continue
            self.ring[self.count % len(self.ring)][:] = self.count
            self.queue.append(self.count)

    def _advance(self):
        if self.exp_mode == 1792:
            self.expose(int((time.monotonic() - self.began) / self.period) - self.count)

    def poll_frame(self, timeout_ms, oldestFrame=True, copyData=True):
        end = time.monotonic() + timeout_ms / 1000
        while True:
            if self.aborted.is_set():
                raise RuntimeError("Acquisition not active.")
            self._advance()
            if self.queue:
                break
            if time.monotonic() >= end:
                raise RuntimeError("Frame timeout. Verify the timeout exceeds the exposure time.")
            self.aborted.wait(0.0005)
        number = self.queue.popleft() if oldestFrame else self.queue[-1]
        pixels = self.ring[number % len(self.ring)]
        frame = {"pixel_data": pixels.copy() if copyData else pixels}
        if self.metadata_enabled:
            frame["meta_data"] = {"frame_header": {"frameNr": number, "timestampEofPs": number * self.frame_ps}}
        return frame, 0.0, number
