"""The same contract for each camera: in software, Basler's SDK with its emulator, Micro-Manager's DemoCamera."""

import pytest
from bluesky import plan_stubs as bps
from cameracontract import CameraContract, when_rows
from microscopes import microscope, quick

from rdaq_ophyd.devices.micromanager import MicroManagerCamera
from rdaq_ophyd.devices.pylon import PylonCamera
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import PixelFormat


def small(cam):
    yield from bps.mv(cam.pixel_format, PixelFormat.MONO16)
    yield from bps.mv(cam.roi.width, 64)
    yield from bps.mv(cam.roi.height, 48)


class TestSynthetic(CameraContract):
    def make(self, paths):
        return SyntheticCamera(paths, width=64, height=48, seed=2)

    def lose(self, cam):
        when_rows(cam, 3)
        cam.driver.lose(7)


class TestPylon(CameraContract):
    @pytest.fixture(autouse=True)
    def emulator(self, monkeypatch):
        pytest.importorskip("pypylon.pylon", reason="pypylon is not installed")
        monkeypatch.setenv("PYLON_CAMEMU", "2")

    def make(self, paths):
        return PylonCamera(paths, "0815-0000")

    def set_up(self, cam):
        yield from small(cam)

    def lose(self, cam):
        when_rows(cam, 3)
        cam.driver._camera.ForceFailedBufferCount.Value = 5
        cam.driver._camera.ForceFailedBuffer.Execute()


class TestMicroManager(CameraContract):
    def make(self, paths):
        return MicroManagerCamera(paths, microscope(buffer_mb=1))

    def set_up(self, cam):
        quick(cam.driver.mm)
        yield from bps.mv(cam.pixel_format, PixelFormat.MONO16)
        yield from bps.mv(cam.roi.width, 256)
        yield from bps.mv(cam.roi.height, 256)

    def lose(self, cam):
        """The acquisition waits for the adapter library while the buffer of 8 images overflows."""
        when_rows(cam, 3)
        lane = cam.driver.mm.lane("Camera")
        lane.call(lambda: cam.driver.mm.core.sleep(200.0), 10)
