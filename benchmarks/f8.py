"""F8: allocations of frame size in the pipeline from an emulated pylon camera to HDF5."""

from __future__ import annotations

import os
import threading
import tracemalloc
from pathlib import Path

from benchmarks import Result
from benchmarks._writers import NBYTES, RECORD, SIZE, scratch
from rdaq_ophyd.devices.pylon import PylonDriver
from rdaq_ophyd.frames import FrameRecord, FrameRef, FrameSink, PixelFormat, Roi, frame_statistics

NAME = "F8"
TITLE = "allocations of frame size per frame, emulated pylon camera to HDF5"
FRAMES = 60


def _steps(driver: PylonDriver, path: Path, copy: bool) -> list[int]:
    """By how much traced memory rose at its highest during each frame, bytes."""
    written = threading.Semaphore(0)
    sink = FrameSink(path, RECORD, on_written=lambda _rows: written.release())
    sink.open().result()
    rises = []
    driver.start(0.0)
    try:
        while len(rises) < FRAMES:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            ref = driver.next_frame(1.0)
            if ref is None:
                continue
            if copy:
                copied = FrameRef(ref.array.copy(), sequence=ref.sequence, host_time=ref.host_time)
                ref.release()
                ref = copied
            sink.put(FrameRecord(ref, frame_statistics(ref.array), ref.sequence, 0.0), 0)
            if not written.acquire(timeout=60):
                raise RuntimeError("the frame was not written")
            rises.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        driver.stop()
        sink.close("complete").result()
    return rises


def measure() -> Result:
    """Trace every allocation, NumPy's included, while frames go from grab buffer to file."""
    os.environ.setdefault("PYLON_CAMEMU", "1")
    driver = PylonDriver("0815-0000")
    driver.open()
    driver.set_pixel_format(PixelFormat.MONO16)
    driver.set_roi(Roi(0, 0, SIZE, SIZE))
    tracemalloc.start()
    try:
        with scratch() as directory:
            rises = _steps(driver, directory / "ours.h5", copy=False)
            control = _steps(driver, directory / "copy.h5", copy=True)
    finally:
        tracemalloc.stop()
        driver.close()
    count = sum(rise // NBYTES for rise in rises) / FRAMES
    counted = sum(rise // NBYTES for rise in control) / FRAMES
    return Result(
        figure=count,
        peer=0.0,
        ratio=count,
        goal=0.0,
        unit="per frame",
        peer_name="limit",
        at_most=True,
        notes=[
            f"{FRAMES} frames of {NBYTES} bytes; memory rose by at most {max(rises)} bytes while one frame passed",
            f"the same with one deliberate copy a frame counts {counted:.2f} per frame",
        ],
        also={"the meter sees a copy": counted >= 1},
    )
