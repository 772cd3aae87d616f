"""Basler's emulated cameras: a real SDK with real buffers, and errors that say what to do."""

import asyncio
import importlib
import os
import sys
import time

import h5py
import numpy as np
import pytest
from matplotlib import image
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from rdaq_ophyd.devices.pylon import PylonCamera, PylonDriver
from rdaq_ophyd.errors import CameraError, LimitError
from rdaq_ophyd.frames import DATA, CameraDriver, PixelFormat, Roi, column_path

pylon = pytest.importorskip("pypylon.pylon", reason="pypylon is not installed")
SERIAL = "0815-0000"


@pytest.fixture(autouse=True)
def two_emulated_cameras(monkeypatch):
    monkeypatch.setenv("PYLON_CAMEMU", "2")


@pytest.fixture
def driver():
    made = PylonDriver(SERIAL, buffers=5)
    made.open()
    made.set_pixel_format(PixelFormat.MONO16)
    made.set_roi(Roi(0, 0, 64, 48))
    made.set_exposure(0.001)
    yield made
    made.stop()
    made.close()


@pytest.fixture
async def cam(tmp_path):
    made = PylonCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), SERIAL, "cam")
    await made.connect()
    await made.pixel_format.set(PixelFormat.MONO16)
    await made.roi.put_all(Roi(8, 4, 64, 48))
    await made.exposure.set(0.002)
    yield made
    await made.close()


def take(driver):
    for _ in range(10):
        if (ref := driver.next_frame(2.0)) is not None:
            return ref
    raise AssertionError("no frame")


def test_an_exposure_is_that_of_each_feature_that_a_camera_has_for_it(driver):
    driver.set_exposure(0.002)
    assert driver.exposure() == pytest.approx(0.002)
    assert driver.exposure_range().low >= 1e-4  # of the stricter one
    camera = driver._camera
    assert (camera.ExposureTime.Value, camera.ExposureTimeAbs.Value) == (
        2000.0,
        2000.0,
    )


async def exposing(cam):
    """Wait until the camera takes a frame."""
    while not cam._pipeline.acquiring:  # noqa: ASYNC110  the wait is a turn of the loop, and bounded by the caller
        await asyncio.sleep(0)


def test_it_is_a_driver_and_knows_who_it_is(driver):
    assert isinstance(driver, CameraDriver)
    assert driver.open() == driver.open()
    assert (driver.open().serial, driver.open().vendor) == (SERIAL, "Basler")
    assert driver.exposure() == pytest.approx(0.001)
    assert driver.exposure_range().low < 0.001 < driver.exposure_range().high
    assert driver.sensor_size() == (4096, 4096)
    assert driver.roi_step() == Roi(1, 1, 1, 1)
    assert set(driver.pixel_formats()) == set(PixelFormat)


def test_frames_are_the_grab_buffers_themselves(driver):
    driver.start(0.0)
    ref = take(driver)
    assert ref.array.shape == (48, 64)
    assert ref.array.dtype == np.dtype("<u2")
    assert not ref.array.flags.writeable
    assert ref.sequence == 0
    later = [take(driver) for _ in range(3)]
    assert [r.sequence for r in later] == [1, 2, 3]
    addresses = {r.array.ctypes.data for r in [ref, *later]}
    assert len(addresses) == 4, "each lease has its own buffer"
    kept = ref.array.copy()
    driver.stop()
    driver.close()
    assert np.array_equal(ref.array, kept), "a lease outlives the camera"
    for each in [ref, *later]:
        each.release()
    assert len(driver.book) == 0


def test_buffers_out_on_lease_stall_the_camera_until_one_returns(driver):
    driver.start(0.0)
    held = [take(driver) for _ in range(5)]
    for _ in range(20):
        assert driver.next_frame(0.02) is None, "the emulator is not asked for what it cannot have"
    held.pop().release()
    take(driver).release()
    for ref in held:
        ref.release()
    for _ in range(10):
        take(driver).release()


def test_failed_buffers_leave_a_gap(driver, caplog):
    driver.start(0.05)
    with take(driver) as first:
        numbers = [first.sequence]
    driver._camera.ForceFailedBufferCount.Value = 3
    driver._camera.ForceFailedBuffer.Execute()
    for _ in range(12):
        if (ref := driver.next_frame(2.0)) is not None:
            numbers.append(ref.sequence)
            ref.release()
    gaps = np.diff(numbers)
    assert gaps.sum() - len(gaps) == 3
    assert "did not arrive whole: The buffer was incompletely grabbed" in caplog.text
    assert caplog.text.count("did not arrive whole") == 3


def test_the_pace_is_kept(driver):
    began = time.time()
    driver.start(0.05)
    for number in range(4):
        with take(driver) as ref:
            assert ref.host_time - began > 0.048 * number


async def test_step_and_flight_into_hdf5(cam, tmp_path):
    await cam.stage()
    await cam.trigger()
    reading = await cam.read()
    await cam.unstage()
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=12, livetime=0.003))
    await cam.kickoff()
    await cam.complete()
    await cam.unstage()
    files = {}
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            files[file[DATA].shape[0]] = path
    with h5py.File(files[1]) as file:
        assert file[DATA][0].mean() == reading["cam-mean"]["value"]
    with h5py.File(files[12]) as file:
        assert file[DATA].shape == (12, 48, 64)
        assert file["/entry/instrument/detector/serial_number"].asstr()[()] == SERIAL
        assert np.allclose(file[column_path("count_time")], 0.003)
        assert list(file["/entry/instrument/detector/region"]) == [8, 4, 64, 48]


async def test_pause_within_an_exposure(cam, tmp_path):
    await cam.exposure.set(2.0)
    await cam.stage()
    status = cam.trigger()
    async with asyncio.timeout(10):
        await exposing(cam)
        await cam.pause()
    assert not cam._pipeline.acquiring
    await cam.resume()
    await cam.exposure.set(0.002)
    await cam.trigger()
    await status
    await cam.unstage()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        assert file[DATA].shape[0] == 1


async def test_limits_are_the_cameras_own(cam):
    with pytest.raises(LimitError, match=r"choose from 0.0001 to 3 s"):
        await cam.exposure.set(11)
    with pytest.raises(LimitError, match="width may be 1 to 4096"):
        await cam.roi.width.set(5000)


def test_pictures_from_files(tmp_path):
    picture = np.zeros((48, 64), "u1")
    picture[10:20, 30:40] = 200
    image.imsave(tmp_path / "spot.png", picture, cmap="gray", vmin=0, vmax=255)
    made = PylonDriver(SERIAL, image_files=tmp_path / "spot.png")
    try:
        made.open()
        made.set_pixel_format(PixelFormat.MONO8)
        made.set_roi(Roi(0, 0, 64, 48))
        made.start(0.0)
        with take(made) as ref:
            assert np.abs(ref.array.astype(int) - picture).max() < 10
    finally:
        made.stop()
        made.close()


def test_pictures_that_do_not_exist(tmp_path):
    with pytest.raises(CameraError, match=r"nothing\.png does not exist"):
        PylonDriver(SERIAL, image_files=tmp_path / "nothing.png").open()


def test_an_open_that_failed_leaves_nothing_behind(tmp_path, driver):
    driver.close()
    made = PylonDriver(SERIAL, image_files=tmp_path / "nothing.png")
    for _ in range(2):
        with pytest.raises(CameraError, match=r"nothing\.png does not exist"):
            made.open()
    with pytest.raises(CameraError, match="is not open"):
        made.exposure()
    assert driver.open().serial == SERIAL, "another one may have it"


async def test_a_camera_that_was_unplugged_is_opened_anew(cam, monkeypatch):
    dead = cam.driver._camera
    removed = [dead]
    monkeypatch.setattr(pylon.InstantCamera, "IsCameraDeviceRemoved", lambda self: self in removed)
    await cam.stage()
    cam.driver.start(0.0)
    dead.StopGrabbing()
    with pytest.raises(CameraError, match=r"unplugged → check the cable, then connect\(force_reconnect=True\)"):
        take(cam.driver)
    await cam.unstage()
    await cam.connect(force_reconnect=True)
    assert cam.driver._camera is not dead
    assert not dead.IsPylonDeviceAttached()
    await cam.stage()
    await cam.trigger()
    await cam.unstage()
    again = cam.driver._camera
    await cam.connect(force_reconnect=True)
    assert cam.driver._camera is again, "one that is there stays"
    again.DestroyDevice()
    await cam.connect(force_reconnect=True)
    await cam.stage()
    await cam.trigger()
    await cam.unstage()
    removed.append(cam.driver._camera)
    await cam.close()


def test_wrong_serial_number_names_those_found():
    with pytest.raises(CameraError, match="no Basler camera with serial number 4711 → there are: .*0815-0000"):
        PylonDriver("4711").open()


def test_two_cameras_need_a_serial_number():
    with pytest.raises(CameraError, match="2 Basler cameras → give a serial number"):
        PylonDriver().open()


def test_no_camera_at_all(monkeypatch):
    factory = type("Factory", (), {"EnumerateDevices": lambda self: []})()
    monkeypatch.setattr(pylon.TlFactory, "GetInstance", lambda: factory)
    with pytest.raises(CameraError, match="no Basler camera found → check cable and power"):
        PylonDriver().open()


def test_a_camera_in_use_here_names_its_holder(driver):
    driver.label = "first"
    with pytest.raises(CameraError, match="in use by 'first'"):
        PylonDriver(SERIAL, label="second").open()
    driver.close()
    again = PylonDriver(SERIAL, label="second")
    again.open()
    again.close()


def test_a_camera_in_use_elsewhere(monkeypatch):
    def refuse(self):
        raise RuntimeError("The device is controlled by another application. : AccessException")

    monkeypatch.setattr(pylon.InstantCamera, "Open", refuse)
    made = PylonDriver(SERIAL)
    with pytest.raises(CameraError, match="another program has it: close pylon Viewer"):
        made.open()
    monkeypatch.undo()
    os.environ["PYLON_CAMEMU"] = "2"
    made.open()
    made.close()


def test_unopened_and_closed_say_so():
    made = PylonDriver(SERIAL)
    for call in (made.exposure, made.roi, lambda: made.start(0.0), lambda: made.next_frame(0.01)):
        with pytest.raises(CameraError, match="is not open"):
            call()
    made.stop()
    made.close()


def test_without_pypylon_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypylon.pylon", None)
    with pytest.raises(CameraError, match=r"pip install 'rdaq-ophyd\[pylon\]'"):
        PylonDriver(SERIAL).open()


def test_importing_the_device_does_not_import_pypylon():
    module = importlib.import_module("rdaq_ophyd.devices.pylon")
    assert not any(getattr(value, "__name__", "").startswith("pypylon") for value in vars(module).values())
