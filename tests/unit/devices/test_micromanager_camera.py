"""Micro-Manager's DemoCamera: the core's real buffer, its overwriting, its copies and its refusals."""

import asyncio
import itertools
import re
import threading
import time

import h5py
import numpy as np
import pytest
from microscopes import DEVICES, adapters, microscope, quick
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from rdaq_ophyd.devices.micromanager import MicroManager, MicroManagerCamera, MicroManagerDriver, Property
from rdaq_ophyd.errors import CameraError, LimitError, MicroManagerError, UnknownName
from rdaq_ophyd.frames import DATA, CameraDriver, PixelFormat, Roi, column_path

ROI = Roi(8, 4, 64, 48)


@pytest.fixture
def driver():
    made = MicroManagerDriver(microscope(), "Camera")
    made.open()
    quick(made.mm)
    made.set_pixel_format(PixelFormat.MONO16)
    made.set_roi(Roi(0, 0, 256, 256))
    made.set_exposure(0.001)
    yield made
    made.close()


@pytest.fixture
async def cam(tmp_path):
    properties = {
        "gain": Property("Gain", int),
        "mode": Property("Mode"),
        "temperature": Property("CCDTemperature", float),
    }
    made = MicroManagerCamera(
        StaticPathProvider(UUIDFilenameProvider(), tmp_path), microscope(), name="cam", properties=properties
    )
    await made.connect()
    quick(made.driver.mm)
    await made.pixel_format.set(PixelFormat.MONO16)
    await made.roi.put_all(ROI)
    await made.exposure.set(0.002)
    yield made
    await made.close()


def take(driver):
    for _ in range(10):
        if (ref := driver.next_frame(2.0)) is not None:
            return ref
    raise AssertionError("no frame")


def drain(driver):
    for _ in range(1000):
        if (ref := driver.next_frame(0.01)) is not None:
            ref.release()


def test_the_pinned_adapters_fit_the_pinned_core():
    import mm_test_adapters
    import pymmcore

    adapters()
    assert pymmcore.__version__.split(".")[3] == mm_test_adapters.__version__.split(".")[0]


def test_it_is_a_driver_and_knows_who_it_is(driver):
    assert isinstance(driver, CameraDriver)
    assert driver.open() == driver.open()
    assert (driver.open().vendor, driver.open().model, driver.open().serial) == ("DemoCamera", "DCam", "V1.0")
    assert driver.exposure() == pytest.approx(0.001)
    assert driver.exposure_range().high == 10.0
    assert driver.sensor_size() == (512, 512)
    assert driver.roi() == Roi(0, 0, 256, 256), "asking for the sensor's size leaves the region as it was"
    assert driver.pixel_formats() == (PixelFormat.MONO8, PixelFormat.MONO16)
    assert driver.mm.core.getAutoShutter() is False


def test_frames_are_numbered_and_copied_once(driver):
    driver.start(0.0)
    refs = [take(driver) for _ in range(4)]
    assert [r.sequence for r in refs] == [0, 1, 2, 3]
    assert refs[0].array.shape == (256, 256)
    assert refs[0].array.dtype == np.dtype("<u2")
    assert not refs[0].array.flags.writeable
    assert driver.copied == 4
    assert all(b.hardware_time > a.hardware_time for a, b in itertools.pairwise(refs))
    kept = refs[0].array.copy()
    driver.stop()
    driver.close()
    assert np.array_equal(refs[0].array, kept), "a lease outlives the core"
    for ref in refs:
        ref.release()
    assert len(driver.book) == 0


def test_what_the_buffer_overwrites_is_missing_from_the_numbers_exactly(driver):
    driver.start(0.0)
    capacity = driver.mm.core.getBufferTotalCapacity()
    first = take(driver)
    driver.mm.core.sleep(400.0)
    numbers = [first.sequence]
    for _ in range(3):
        with take(driver) as ref:
            numbers.append(ref.sequence)
    first.release()
    assert numbers[1] > numbers[0] + 1, f"more than {capacity} images came while nobody looked"
    assert numbers[1:] == list(range(numbers[1], numbers[1] + 3))
    driver.stop()
    driver.start(0.0)
    with take(driver) as ref:
        assert ref.sequence == 0, "each acquisition counts from 0, also after an overflow"


def test_a_slow_pace_is_made_by_software(driver):
    driver.start(0.05)
    times = []
    for number in range(4):
        with take(driver) as ref:
            assert ref.sequence == number
            times.append(ref.host_time)
    assert np.all(np.diff(times) > 0.03)


def test_a_long_pause_between_exposures_ends_at_once(driver):
    driver.start(30.0)
    take(driver).release()
    found = []
    thread = threading.Thread(target=lambda: found.append(driver.next_frame(30)))
    thread.start()
    driver.stop()
    thread.join(5)
    assert found == [None]


def test_one_core_one_acquisition(driver):
    second = MicroManagerDriver(driver.mm, "Second", label="second")
    second.open()
    driver.start(0.0)
    with pytest.raises(MicroManagerError, match="'Second' cannot start while 'Camera' acquires"):
        second.start(0.0)
    driver.stop()
    second.start(0.0)
    take(second).release()
    second.close()


def test_a_blocking_call_of_the_same_library_does_not_freeze_the_process(driver):
    """pymmcore asks for an image's size with Python's lock held: while the adapter is busy, nobody must call that."""
    driver.start(0.0)
    take(driver).release()
    blocked = driver.mm.lane("XY").submit(lambda: time.sleep(0.4))
    gaps, end = [], threading.Event()

    def tick():
        last = time.monotonic()
        while not end.wait(0.001):
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    ticking = threading.Thread(target=tick)
    ticking.start()
    take(driver).release()
    end.set()
    ticking.join(5)
    assert blocked.done(), "the image waited for the library, not the process"
    assert max(gaps) < 0.3


def test_a_camera_that_ends_by_itself_is_told(driver):
    driver.start(0.0)
    driver.mm.core.stopSequenceAcquisition("Camera")
    with pytest.raises(MicroManagerError, match="stopped by itself"):
        drain(driver)


def test_a_change_of_shape_behind_its_back_is_told(driver):
    """MMCore ends the sequence, or hands out an image of another shape."""
    driver.start(0.0)
    take(driver).release()
    driver.mm.call("Camera", "roi", lambda core: core.setROI("Camera", 0, 0, 32, 32))
    with pytest.raises(MicroManagerError, match="stopped by itself|were expected"):
        drain(driver)


class Overrun:
    """The core, telling of a buffer that overflows while an image is copied."""

    def __init__(self, core, counts):
        self.core, self.counts = core, counts

    def __getattr__(self, name):
        return getattr(self.core, name)

    def getRemainingImageCount(self):
        return self.counts.pop(0) if self.counts else self.core.getRemainingImageCount()


@pytest.mark.parametrize("after", ["emptied", "full"])
def test_an_image_that_may_have_been_overwritten_while_it_was_copied_is_lost(driver, caplog, after):
    driver.start(0.0)
    take(driver).release()
    real = driver.mm.core
    capacity = real.getBufferTotalCapacity()
    driver.mm._core = Overrun(real, [capacity - 1, capacity - 1, 0 if after == "emptied" else capacity])
    while not real.getRemainingImageCount():
        pass
    assert driver.next_frame(1.0) is None
    number = int(re.search(r"frame (\d+) may have been overwritten", caplog.text)[1])
    with take(driver) as ref:
        assert ref.sequence > number, "its number is missing"
    driver.mm._core = real


def test_images_without_the_tag_are_refused_by_name(driver):
    driver._frame_number = "FrameNr"
    driver.start(0.0)
    with pytest.raises(MicroManagerError, match="no tag 'FrameNr'.*ImageNumber"):
        take(driver)


@pytest.mark.parametrize("pixel_format", [PixelFormat.MONO8, PixelFormat.MONO16])
def test_pixel_formats(driver, pixel_format):
    driver.set_pixel_format(pixel_format)
    assert driver.pixel_format() == pixel_format
    driver.start(0.0)
    with take(driver) as ref:
        assert ref.array.dtype == np.dtype(pixel_format.dtype_numpy)


def test_other_pixel_types_by_their_properties():
    driver = MicroManagerDriver(
        microscope(), "Camera", pixel_types={PixelFormat.MONO12: {"PixelType": "16bit", "BitDepth": "12"}}
    )
    driver.open()
    driver.set_pixel_format(PixelFormat.MONO12)
    assert driver.pixel_format() == PixelFormat.MONO12
    driver.mm.call("Camera", "colour", lambda core: core.setProperty("Camera", "PixelType", "32bitRGB"))
    with pytest.raises(MicroManagerError, match="4 bytes in 4 components are not supported"):
        driver.pixel_format()
    driver.close()


async def test_step_and_flight_into_hdf5(cam, tmp_path):
    await cam.stage()
    await cam.trigger()
    reading = await cam.read()
    await cam.unstage()
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=12, livetime=0.003))
    await cam.kickoff()
    await cam.complete()
    lost = await cam.frames_lost.get_value()
    await cam.unstage()
    files = {}
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            files[file[DATA].shape[0]] = path
    with h5py.File(files[1]) as file:
        assert file[DATA][0].mean() == reading["cam-mean"]["value"]
    with h5py.File(files[12]) as file:
        assert file[DATA].shape == (12, 48, 64)
        numbers = file[column_path("sequence_numbers")][:]
        assert numbers[-1] + 1 == 12 + lost
        assert list(file["/entry/instrument/detector/region"]) == [8, 4, 64, 48]
        assert np.allclose(file[column_path("count_time")], 0.003)


async def test_properties_are_signals_with_the_adapters_limits(cam):
    await cam.properties.gain.set(3)
    assert await cam.properties.gain.get_value() == 3
    described = await cam.describe_configuration()
    assert described["cam-properties-gain"]["limits"]["control"] == {"low": -5.0, "high": 8.0}
    assert described["cam-properties-mode"]["choices"] == [
        "Artificial Waves",
        "Color Test Pattern",
        "Fluorescent Beads",
        "Noise",
    ]
    assert (await cam.read_configuration())["cam-properties-mode"]["value"] == "Artificial Waves"
    with pytest.raises(LimitError, match="Gain cannot be 9 → choose from -5 to 8"):
        await cam.properties.gain.set(9)
    with pytest.raises(LimitError, match="Mode cannot be 'Nice' → choose from Artificial Waves"):
        await cam.properties.mode.set("Nice")
    with pytest.raises(LimitError, match="not a finite number"):
        await cam.properties.temperature.set(float("nan"))
    await cam.properties.temperature.set(-20.5)
    assert await cam.properties.temperature.get_value() == -20.5


async def test_binning_shapes_the_frames_and_waits_for_the_end_of_the_stage(cam):
    await cam.properties.binning.set("2")
    assert cam.driver.sensor_size() == (256, 256)
    await cam.roi.put_all(Roi(0, 0, 100, 50))
    await cam.stage()
    await cam.trigger()
    assert (await cam.describe())["cam"]["shape"] == [50, 100]
    with pytest.raises(CameraError, match="unstage the camera before"):
        await cam.properties.binning.set("1")
    await cam.unstage()
    with pytest.raises(LimitError, match="Binning cannot be '3' → choose from 1, 2, 4, 8"):
        await cam.properties.binning.set("3")


async def test_limits_are_the_cameras_own(cam):
    with pytest.raises(LimitError, match=r"choose from 1e-06 to 10 s"):
        await cam.exposure.set(11)
    with pytest.raises(LimitError, match="width may be 1 to 512"):
        await cam.roi.width.set(513)


async def read(cam):
    await cam.connect()
    return await cam.properties.p.get_value()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (Property("Gian", int), UnknownName, "unknown property of Camera 'Gian' → did you mean Gain"),
        (Property("PixelType", int), MicroManagerError, r"PixelType is '8bit', no int → declare it as"),
    ],
)
async def test_properties_that_are_not_there_or_of_another_type(tmp_path, given, error, words):
    paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    cam = MicroManagerCamera(paths, microscope(), properties={"p": given})
    with pytest.raises(error, match=words):
        await read(cam)
    await cam.close()


async def test_a_property_that_is_read_only(tmp_path):
    given = {"p": Property("CCDTemperature RO", float)}
    cam = MicroManagerCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), microscope(), properties=given)
    await cam.connect()
    with pytest.raises(MicroManagerError, match="CCDTemperature RO is read-only"):
        await cam.properties.p.set(3.0)
    await cam.close()


async def test_mock_mode_needs_no_adapters(tmp_path):
    mm = MicroManager("nothing.cfg", adapters="/nowhere")
    cam = MicroManagerCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), mm, name="cam")
    await cam.connect(mock=True)
    await cam.stage()
    await cam.trigger()
    assert (await cam.read())["cam-mean"]["value"] > 0
    await cam.properties.binning.set("2")
    assert (await cam.read_configuration())["cam-properties-binning"]["value"] == "2"
    await cam.unstage()
    await cam.close()


def test_messages_use_the_name_of_the_device():
    cam = MicroManagerCamera(lambda _=None: None, microscope(), name="beam")
    assert (cam.driver.label, cam.driver.book.camera) == ("beam", "beam")
    with pytest.raises(CameraError, match="beam is not open"):
        cam.driver.exposure()
    assert DEVICES["Camera"] == ("DemoCamera", "DCam")


async def test_a_stop_waits_for_the_exposure_that_the_adapter_ends_first(cam):
    await cam.exposure.set(0.4)
    await cam.stage()
    status = cam.trigger()
    async with asyncio.timeout(5):
        while not cam._pipeline.acquiring:  # noqa: ASYNC110  a turn of the loop, bounded
            await asyncio.sleep(0)
        await cam.unstage()
        await status
    assert not cam.driver._running
