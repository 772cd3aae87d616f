"""Micro-Manager's DemoCamera adapters as a small microscope."""

from __future__ import annotations

import pytest

from rdaq_ophyd.devices.micromanager import MicroManager

DEVICES = {
    "Camera": ("DemoCamera", "DCam"),
    "Second": ("DemoCamera", "DCam"),
    "XY": ("DemoCamera", "DXYStage"),
    "Z": ("DemoCamera", "DStage"),
    "Shutter": ("DemoCamera", "DShutter"),
    "Wheel": ("DemoCamera", "DWheel"),
    "Joined": ("Utilities", "Single Axis Stage"),
}


def adapters() -> str:
    """Where the adapters are; the test is skipped without them."""
    pytest.importorskip("pymmcore", reason="pymmcore is not installed")
    package = pytest.importorskip("mm_test_adapters", reason="mm-test-adapters is not installed")
    return package.device_adapter_path()


def microscope(**kwargs) -> MicroManager:
    """Not loaded yet; its buffer holds few images."""
    return MicroManager(DEVICES, adapters=adapters(), **{"buffer_mb": 4, **kwargs})


def quick(mm: MicroManager) -> None:
    """Let its open camera make images without drawing them: 2 ms instead of 12."""
    mm.call("Camera", "FastImage", lambda core: core.setProperty("Camera", "FastImage", "1"))
