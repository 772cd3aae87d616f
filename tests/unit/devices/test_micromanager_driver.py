"""Micro-Manager's DemoCamera as a driver: the core's real buffer, its overwriting, copies and refusals."""

import itertools
import re
import threading
import time

import numpy as np
import pytest
from microscopes import adapters, microscope, quick
from stalls import STALL, spread, through_a_stall

from rdaq_ophyd.devices.micromanager import MicroManagerDriver
from rdaq_ophyd.errors import CameraError, MicroManagerError
from rdaq_ophyd.frames import CameraDriver, FrameFormat, PixelFormat, Roi

ROI = Roi(8, 4, 64, 48)


def opened(buffer_mb):
    """Makes 1000 images a second of 128 KiB."""
    made = MicroManagerDriver(microscope(buffer_mb=buffer_mb), "Camera")
    made.open()
    quick(made.mm)
    made.set_pixel_format(PixelFormat.MONO16)
    made.set_roi(Roi(0, 0, 256, 256))
    made.set_exposure(0.001)
    return made


@pytest.fixture
def driver():
    made = opened(128)  # a second of images: a busy machine loses none
    yield made
    made.close()


@pytest.fixture
def small():
    """Its buffer holds 8 images."""
    made = opened(1)
    yield made
    made.close()


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


def overflow(core):
    """Wait until the core overwrote what was in its buffer."""
    most = 0
    while (count := core.getRemainingImageCount()) >= most:
        most = count


def test_what_the_buffer_overwrites_is_missing_from_the_numbers_exactly(small):
    small.start(0.0)
    core = small.mm.core
    capacity = core.getBufferTotalCapacity()
    overflow(core)
    small.set_exposure(1.0)  # from here on the buffer stays as it is
    core.sleep(50.0)
    left = core.getRemainingImageCount()
    numbers = []
    for _ in range(left):
        with take(small) as ref:
            numbers.append(ref.sequence)
    assert numbers[0] >= capacity, "all that were in the buffer when it overflowed are lost"
    assert numbers == list(range(numbers[0], numbers[0] + left))
    small.stop()
    small.set_exposure(0.001)
    small.start(0.0)
    with take(small) as ref:
        assert ref.sequence % capacity == 0, "each acquisition counts from 0, also after an overflow"


def test_a_slow_pace_is_made_by_software(driver):
    began = time.time()
    driver.start(0.05)
    for number in range(4):
        with take(driver) as ref:
            assert ref.sequence == number
            assert ref.host_time - began > 0.048 * number


@pytest.mark.parametrize("period", [0.0, 0.03])
def test_frames_that_waited_in_the_buffer_have_the_time_when_they_came(driver, period):
    driver.set_exposure(0.02)
    driver.start(period)
    found = through_a_stall(driver)
    assert [sequence for sequence, _, _ in found] == list(range(9))
    if not period:
        assert spread(found) < STALL / 2
    else:
        assert found[3][1] - found[2][1] > STALL * 0.9, "it was taken after the stall"


def test_shots_follow_each_other_as_closely_as_they_can(driver):
    driver.start(0.0011)
    for number in range(60):
        with take(driver) as ref:
            assert ref.sequence == number
    assert driver.copied == 60


def test_a_long_pause_between_exposures_ends_at_once(driver):
    driver.start(30.0)
    take(driver).release()
    found = []
    thread = threading.Thread(target=lambda: found.append(driver.next_frame(30)))
    thread.start()
    driver.stop()
    thread.join(5)
    assert found == [None]


def test_closed_while_another_thread_takes_frames(driver):
    driver.start(0.0)
    ended = []

    def work():
        try:
            while True:
                take(driver).release()
        except (CameraError, AssertionError) as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    driver.close()
    thread.join(30)
    assert len(ended) == 1


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
    inside = threading.Event()
    blocked = driver.mm.lane("XY").submit(lambda: inside.set() or time.sleep(1.0))
    assert inside.wait(10)
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
    assert max(gaps) < 0.7


def test_a_camera_that_ends_by_itself_is_told(driver):
    driver.start(0.0)
    driver.mm.core.stopSequenceAcquisition("Camera")
    with pytest.raises(MicroManagerError, match="stopped by itself"):
        drain(driver)


def test_an_image_of_another_shape_is_no_frame(driver):
    driver.start(0.0)
    take(driver).release()
    driver._format = FrameFormat(32, 32, "<u2")
    with pytest.raises(MicroManagerError, match=r"\(256, 256\) <u2 came, \(32, 32\) <u2 were expected → a property"):
        drain(driver)


def test_no_image_unlike_those_in_the_file_is_even_taken(driver):
    """What changes images may be set past the device."""
    driver.file_format = lambda: FrameFormat(256, 256, "<u2")
    driver.set_pixel_format(PixelFormat.MONO8)
    with pytest.raises(MicroManagerError, match=r"are \(256, 256\) of \|u1 now, those in the open file .* of <u2 → a"):
        driver.start(0.0)
    driver.set_pixel_format(PixelFormat.MONO16)
    driver.start(0.0)
    take(driver).release()


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
