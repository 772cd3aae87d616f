"""PVCAM's driver against a stand-in for pyvcam, at the seam only: no camera, no PVCAM runtime."""

import asyncio
import sys

import h5py
import numpy as np
import pvcamfake
import pytest
from ophyd_async.core import DetectorTrigger, StaticPathProvider, TriggerInfo, UUIDFilenameProvider
from stalls import STALL, spread, through_a_stall

from rdaq_ophyd.devices.pvcam import PvcamCamera, PvcamDriver
from rdaq_ophyd.errors import CameraError, LimitError
from rdaq_ophyd.frames import DATA, CameraDriver, EdgeTriggered, PixelFormat, Roi, column_path


@pytest.fixture
def install(monkeypatch):
    def put(**kwargs):
        found, camera, log = pvcamfake.modules(**kwargs)
        for name, module in found.items():
            monkeypatch.setitem(sys.modules, name, module)
        return camera, log

    return put


@pytest.fixture
def fake(install):
    return install()[0]


@pytest.fixture
def driver(fake):
    made = PvcamDriver(buffers=8)
    made.open()
    made.set_exposure(0.002)
    yield made
    made.close()


@pytest.fixture
async def cam(fake, tmp_path):
    made = PvcamCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), name="cam")
    await made.connect()
    await made.exposure.set(0.002)
    yield made
    await made.close()


def take(driver):
    ref = driver.next_frame(5.0)
    assert ref is not None
    return ref


def test_it_is_a_driver_and_knows_who_it_is(driver, fake):
    assert isinstance(driver, CameraDriver)
    assert isinstance(driver, EdgeTriggered)
    assert (driver.open().model, driver.open().serial) == ("GS2020", "A12B345")
    assert (fake.exp_res, fake.binning, fake.metadata_enabled) == (1, 1, True)
    assert driver.exposure_range().low == pytest.approx(20e-6)
    assert driver.exposure_range().high == pytest.approx(10.0)
    assert driver.sensor_size() == (128, 96)
    assert driver.pixel_formats() == (PixelFormat.MONO12,)


def test_frames_are_copies_and_stay_what_they_are(driver, fake):
    driver.set_roi(Roi(8, 4, 32, 16))
    driver.set_exposure(9.0)
    driver.start(0.0)
    fake.expose(3)
    refs = [take(driver) for _ in range(3)]
    fake.expose(50)
    assert [r.sequence for r in refs] == [0, 1, 2]
    assert [int(r.array[0, 0]) for r in refs] == [1, 2, 3], "overwritten in PVCAM's buffer, not here"
    assert refs[0].array.shape == (16, 32)
    assert refs[1].hardware_time == 2 * 10**9
    assert driver.copied == 3
    for ref in refs:
        ref.release()
    assert len(driver.book) == 0


def test_frames_lost_before_the_host_leave_their_gap(driver, fake):
    fake.drop = {3, 4, 5}
    driver.set_exposure(9.0)
    driver.start(0.0)
    fake.expose(7)
    numbers = []
    for _ in range(4):
        with take(driver) as ref:
            numbers.append(ref.sequence)
    assert numbers == [0, 1, 5, 6]


def test_a_frame_that_may_be_torn_is_lost(driver, fake):
    driver.set_exposure(9.0)
    driver.start(0.0)
    fake.expose(8)  # as many as the buffer holds: the next one overwrites the first
    assert driver.next_frame(1.0) is None
    with take(driver) as ref:
        assert ref.sequence == 1
        assert int(ref.array[0, 0]) == 2


def test_no_frame_in_time_and_a_stop(driver):
    driver.set_exposure(9.0)
    driver.start(0.0)
    assert driver.next_frame(0.01) is None
    driver.stop()
    assert driver.next_frame(0.01) is None


def test_what_pvcam_reports_is_told(driver, fake):
    driver.start(0.0)
    fake.aborted.set()
    with pytest.raises(CameraError, match="A12B345 failed while taking frames: Acquisition not active"):
        driver.next_frame(0.01)


def test_a_pause_between_frames_is_refused(driver):
    with pytest.raises(CameraError, match="PVCAM times no pauses"):
        driver.start(1.0)


async def test_a_pause_between_frames_is_refused_before_anything_starts(cam):
    await cam.stage()
    with pytest.raises(CameraError, match="not a frame every 0.052 s → use deadtime=0"):
        await cam.prepare(TriggerInfo(number_of_events=3, deadtime=0.05, livetime=0.002))
    await cam.unstage()


@pytest.mark.parametrize("clock", [True, False])
def test_frames_that_waited_in_its_buffer_have_the_time_when_they_came(install, clock):
    fake, _ = install()
    driver = PvcamDriver(buffers=100)
    driver.open()
    fake.metadata_enabled, fake.frame_ps = clock, 20 * 10**9
    driver.set_exposure(0.02)
    driver.start(0.0)
    found = through_a_stall(driver)
    assert [sequence for sequence, _, _ in found] == list(range(9))
    if clock:
        assert spread(found, 1e-12) < STALL / 2
    else:
        assert found[4][1] - found[2][1] > STALL * 0.9, "no clock: when it was taken"
    driver.close()


def test_a_region_off_the_sensor(driver):
    with pytest.raises(CameraError, match="refuses Roi.*extends beyond"):
        driver.set_roi(Roi(100, 0, 64, 64))


def test_pvcam_is_left_by_the_last_one(install):
    _, log = install()
    one, other = PvcamDriver(), PvcamDriver()
    one.open()
    other.open()
    one.close()
    one.close()
    assert log == ["init"]
    other.close()
    assert log == ["init", "uninit"]


def test_edges(driver, fake):
    assert driver.trigger_lines() == ("Line1",)
    driver.arm_edges("Line1")
    assert fake.exp_mode == 2304
    driver.start(0.0)
    assert driver.next_frame(0.02) is None
    fake.expose(1)
    take(driver).release()
    driver.stop()
    driver.arm_edges(None)
    assert fake.exp_mode == 1792
    with pytest.raises(CameraError, match="no trigger input 'Line2'"):
        driver.arm_edges("Line2")


async def test_step_and_flight_into_hdf5(cam, tmp_path):
    await cam.stage()
    await cam.trigger()
    await cam.unstage()
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=10, livetime=0.002))
    await cam.kickoff()
    await cam.complete()
    lost = await cam.frames_lost.get_value()
    await cam.unstage()
    counts = []
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            numbers = file[column_path("sequence_numbers")][:]
            assert np.array_equal(file[DATA][:, 0, 0], numbers + 1)
            counts.append((file[DATA].shape[0], numbers[-1] + 1))
    assert sorted(counts)[0][0] == 1
    assert sorted(counts)[1] == (10, 10 + lost)


async def test_an_edge_through_the_device(cam, fake):
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=1, trigger=DetectorTrigger.EXTERNAL_EDGE, deadtime=0.01))
    await cam.kickoff()
    fake.expose(1)
    async with asyncio.timeout(10):
        await cam.complete()
    await cam.unstage()


async def test_limits_are_the_cameras_own(cam):
    with pytest.raises(LimitError, match=r"choose from 2e-05 to 10 s"):
        await cam.exposure.set(11)
    with pytest.raises(LimitError, match="no pixel format Mono8 → it has Mono12"):
        await cam.pixel_format.set(PixelFormat.MONO8)


@pytest.mark.parametrize(
    ("names", "wanted", "words"),
    [
        ((), None, "PVCAM finds no camera → name one of those there are: none: check cable"),
        (("a", "b"), None, "finds 2 cameras → name one of those there are: a, b"),
        (("a", "b"), "c", "finds no camera c → name one of those there are: a, b"),
    ],
)
def test_cameras_that_are_not_there(install, names, wanted, words):
    _, log = install(names=names)
    with pytest.raises(CameraError, match=words):
        PvcamDriver(wanted).open()
    assert log == ["init", "uninit"]


def test_a_camera_in_use(install):
    camera, log = install()
    camera.in_use = True
    driver = PvcamDriver()
    with pytest.raises(CameraError, match="cannot be opened: Failed to open camera"):
        driver.open()
    assert log == ["init", "uninit"]
    with pytest.raises(CameraError, match="is not open"):
        driver.start(0.0)


def test_without_pyvcam_or_its_runtime_both_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvcam", None)
    with pytest.raises(CameraError, match=r"pip install 'rdaq-ophyd\[pvcam\]', and install PVCAM from"):
        PvcamDriver().open()
