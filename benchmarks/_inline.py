"""The loop that one writes by hand for a Basler camera: retrieve, direct chunk, flush, release. Nothing of ours."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
from pypylon import pylon

SERIAL = "0815-0000"


def opened(size: int) -> Any:
    """The emulated camera with frames of ``size`` × ``size`` pixels of 16 bits, as fast as it can."""
    for info in pylon.TlFactory.GetInstance().EnumerateDevices():
        if info.GetSerialNumber() == SERIAL:
            break
    else:
        raise RuntimeError("no emulated camera: PYLON_CAMEMU must be set before pylon is loaded")
    camera = pylon.InstantCamera(pylon.TlFactory.GetInstance().CreateDevice(info))
    camera.Open()
    camera.PixelFormat.Value = "Mono16"
    camera.Width.Value = camera.Height.Value = size
    camera.ExposureTimeAbs.Value = camera.ExposureTimeAbs.Min
    camera.AcquisitionFrameRateEnable.Value = True
    camera.AcquisitionFrameRateAbs.Value = camera.AcquisitionFrameRateAbs.Max
    return camera


def alone(size: int, frames: int) -> float:
    """Frames a second that the emulator makes when nobody does anything with them: more cannot be kept."""
    camera = opened(size)
    try:
        camera.StartGrabbing(pylon.GrabStrategy_OneByOne)
        camera.RetrieveResult(5000, pylon.TimeoutHandling_ThrowException).Release()
        began = time.perf_counter()
        for _ in range(frames):
            camera.RetrieveResult(5000, pylon.TimeoutHandling_ThrowException).Release()
        return frames / (time.perf_counter() - began)
    finally:
        camera.Close()


def record(path: Path, size: int, frames: int) -> float:
    """Frames a second kept in the file."""
    camera = opened(size)
    try:
        with h5py.File(path, "w", libver="latest") as file:
            shape = (size, size)
            data = file.create_dataset("data", (0, *shape), "<u2", maxshape=(None, *shape), chunks=(1, *shape))
            file.swmr_mode = True
            camera.StartGrabbing(pylon.GrabStrategy_OneByOne)
            began = None
            for i in range(frames):
                result = camera.RetrieveResult(5000, pylon.TimeoutHandling_ThrowException)
                began = began or time.perf_counter()
                data.resize(i + 1, axis=0)
                data.id.write_direct_chunk((i, 0, 0), result.GetImageMemoryView())
                data.flush()
                result.Release()
            return (frames - 1) / (time.perf_counter() - began)
    finally:
        camera.Close()
