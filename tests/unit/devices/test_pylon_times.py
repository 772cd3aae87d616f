"""Times, numbers and rates of Basler's cameras: the emulator, with what only real cameras tell added to it."""

import pytest
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider
from stalls import STALL, spread, through_a_stall

from rdaq_ophyd.devices.pylon import PylonCamera, PylonDriver
from rdaq_ophyd.errors import CameraError, LimitError
from rdaq_ophyd.frames import Paced, PixelFormat, Roi

pytest.importorskip("pypylon.pylon", reason="pypylon is not installed")
SERIAL = "0815-0000"


@pytest.fixture(autouse=True)
def an_emulated_camera(monkeypatch):
    monkeypatch.setenv("PYLON_CAMEMU", "2")


@pytest.fixture
def driver():
    made = PylonDriver(SERIAL, buffers=64)
    made.open()
    made.set_pixel_format(PixelFormat.MONO8)
    made.set_roi(Roi(0, 0, 64, 48))
    made.set_exposure(0.001)
    yield made
    made._camera = made._camera.real if isinstance(made._camera, Told) else made._camera
    made.stop()
    made.close()


class Told:
    """Something of pylon's that tells more than it does."""

    def __init__(self, real, **more):
        self.real = real
        vars(self).update(more)

    def __getattr__(self, name):
        return getattr(self.real, name)


class Real(Told):
    """The emulated camera, whose clock ticks and whose first blocks are lost."""

    first = 0
    ticks = 0

    def RetrieveResult(self, *args):
        result = self.real.RetrieveResult(*args)
        if not result.IsValid():
            return result
        return Told(result, BlockID=result.BlockID + self.first, TimeStamp=(result.BlockID + 1) * self.ticks)


@pytest.mark.parametrize("tick", [1e-9, 8e-9], ids=["USB", "GigE"])
def test_frames_that_waited_in_the_buffers_have_the_time_when_they_came(driver, monkeypatch, tick):
    monkeypatch.setattr(driver, "_tick", lambda: tick)
    driver._camera = Real(driver._camera, ticks=round(0.02 / tick))
    driver.start(0.02)
    found = through_a_stall(driver)
    assert [sequence for sequence, _, _ in found] == list(range(9))
    assert spread(found, tick) < STALL / 2
    driver.stop()
    driver.start(0.02)
    assert spread(through_a_stall(driver), tick) < STALL / 2, "armed anew"


def test_a_camera_that_tells_no_time(driver):
    driver.start(0.02)
    found = through_a_stall(driver)
    assert {ticks for _, _, ticks in found} == {0}
    assert found[3][1] - found[2][1] > STALL * 0.9, "when it was taken"


def test_the_tick_is_what_the_camera_says(driver):
    assert driver._tick() == 1e-9, "of cameras that do not say"
    driver._camera = Told(driver._camera, GevTimestampTickFrequency=Told(None, Value=125_000_000))
    has, driver._has = driver._has, lambda name: name == "GevTimestampTickFrequency" or has(name)
    assert driver._tick() == 8e-9


async def test_frames_lost_before_the_first_are_counted(tmp_path):
    cam = PylonCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), SERIAL, "cam")
    await cam.connect()
    cam.driver._camera = Real(cam.driver._camera, first=5)
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=3, livetime=0.001))
    await cam.kickoff()
    await cam.complete()
    assert await cam.frames_lost.get_value() == 5
    await cam.unstage()
    cam.driver._camera = cam.driver._camera.real
    await cam.close()


def test_rates_that_it_does_not_reach_are_refused(driver):
    assert isinstance(driver, Paced)
    with pytest.raises(LimitError, match="10000 frames a second cannot be reached: at most 5000, set by its expo"):
        driver.start(1e-4)
    assert not driver._camera.IsGrabbing()
    with pytest.raises(LimitError, match="a frame every 1000 s is too seldom → choose 100 s or less"):
        driver.check_period(1000.0)
    driver.check_period(1 / 5000.5)
    driver.start(0.05)
    assert driver._camera.AcquisitionFrameRate.Value == pytest.approx(20)


def test_what_exposure_and_link_leave_counts(driver):
    driver._camera.AcquisitionFrameRate.Value = 3.0  # asked for before: no limit
    driver._camera = Told(driver._camera, ResultingFrameRateAbs=Told(None, Value=17.5))
    with pytest.raises(LimitError, match=r"20 frames a second cannot be reached: at most 17.5"):
        driver.check_period(0.05)
    driver.check_period(0.06)


def test_without_a_frame_rate_pauses_are_refused(driver, monkeypatch):
    has = driver._has
    monkeypatch.setattr(driver, "_has", lambda name: not name.startswith("AcquisitionFrameRate") and has(name))
    with pytest.raises(CameraError, match="times no pauses between exposures → use deadtime=0"):
        driver.start(0.05)
    driver.start(0.0)


async def test_a_rate_is_refused_when_it_is_prepared(tmp_path):
    cam = PylonCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), SERIAL, "cam")
    await cam.connect()
    await cam.stage()
    with pytest.raises(LimitError, match="cannot be reached"):
        await cam.prepare(TriggerInfo(number_of_events=3, livetime=1e-4, deadtime=1e-5))
    assert not cam._pipeline.acquiring
    await cam.unstage()
    await cam.close()
