"""A camera in software with small frames, and the file it writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import (
    CameraIdentity,
    DetectorRecord,
    FrameFormat,
    FrameRecord,
    FrameRef,
    PixelFormat,
    Roi,
    frame_statistics,
)


@pytest.fixture
def paths(tmp_path: Path) -> StaticPathProvider:
    return StaticPathProvider(UUIDFilenameProvider(), tmp_path)


@pytest.fixture
async def cam(paths: StaticPathProvider) -> AsyncIterator[SyntheticCamera]:
    made = SyntheticCamera(paths, "cam", width=16, height=8)
    await made.connect()
    await made.exposure.set(0.001)
    yield made
    await made.close()


@pytest.fixture
def record() -> DetectorRecord:
    return DetectorRecord(
        "cam", CameraIdentity("maker", "model", "42"), PixelFormat.MONO16, Roi(1, 2, 4, 3), FrameFormat(3, 4, "<u2")
    )


@pytest.fixture
def frame() -> Callable[..., FrameRecord]:
    """Make the n-th frame: every pixel is n."""

    def make(number: int, returned: list[int] | None = None) -> FrameRecord:
        pixels = np.full((3, 4), number, "<u2")
        back = None if returned is None else lambda: returned.append(number)
        ref = FrameRef(pixels, sequence=number, host_time=1000.0 + number, hardware_time=number, give_back=back)
        return FrameRecord(ref, frame_statistics(pixels), number, 0.01)

    return make
