"""The synthetic camera's habits: identity, noise, timing, losses, faults."""

import threading

import numpy as np
import pytest
from stalls import STALL, spread, through_a_stall

from rdaq_ophyd.devices.synthetic import SyntheticCamera, SyntheticDriver
from rdaq_ophyd.errors import CameraError, LimitError
from rdaq_ophyd.frames import Paced, PixelFormat, Roi, SyntheticLoad, sequence_of
from rdaq_ophyd.frames._synthetic import _VARIANTS


@pytest.fixture
def driver():
    made = SyntheticDriver(32, 24, buffers=4)
    made.open()
    made.set_exposure(0.002)
    yield made
    made.close()


def take(driver):
    ref = driver.next_frame(5.0)
    assert ref is not None
    with ref:
        return ref.sequence, ref.array.copy()


def test_every_camera_has_its_own_serial_number():
    assert SyntheticDriver().open().serial != SyntheticDriver().open().serial


def test_frames_are_numbered_noisy_and_brighter_with_exposure(driver):
    driver.start(0.0)
    first, second = take(driver), take(driver)
    while (second[0] - first[0]) % _VARIANTS == 0:  # a busy machine loses frames, and the noise comes round again
        second = take(driver)
    assert second[0] > first[0]
    assert sequence_of(second[1]) == second[0]
    assert not np.array_equal(first[1][1:], second[1][1:])
    driver.stop()
    driver.set_exposure(0.02)
    driver.start(0.0)
    assert take(driver)[1].mean() > 2 * first[1].mean()


def test_the_region_shows_that_part_of_the_scene(driver):
    driver.start(0.0)
    whole = take(driver)[1]
    driver.stop()
    driver.set_roi(Roi(12, 10, 8, 4))
    driver.start(0.0)
    part = take(driver)[1]
    assert part.shape == (4, 8)
    assert abs(part[1:].mean() - whole[11:14, 12:20].mean()) < 0.1 * part.mean()


def test_a_frame_of_a_single_pixel(driver):
    driver.set_roi(Roi(0, 0, 1, 1))
    driver.set_pixel_format(PixelFormat.MONO8)
    driver.start(0.0)
    assert take(driver)[1].shape == (1, 1)


def test_stop_ends_a_long_exposure(driver):
    driver.set_exposure(30)
    driver.start(0.0)
    found = []
    thread = threading.Thread(target=lambda: found.append(driver.next_frame(30)))
    thread.start()
    driver.stop()
    thread.join(5)
    assert found == [None]


def test_losses_leave_exactly_their_gap(driver):
    driver.start(0.02)
    before = take(driver)[0]
    driver.lose(5)
    assert take(driver)[0] == before + 6


@pytest.mark.parametrize("edges", [False, True])
def test_frames_that_waited_in_its_buffers_have_the_time_when_they_came(edges):
    driver = SyntheticDriver(16, 8, buffers=64)
    driver.open()
    driver.set_exposure(0.02)
    driver.arm_edges("Line1" if edges else None)
    driver.start(0.0)
    ended = threading.Event()

    def pulses():
        while not ended.wait(0.025):
            driver.fire()

    thread = threading.Thread(target=pulses)
    thread.start()
    found = through_a_stall(driver)
    ended.set()
    thread.join(5)
    assert [sequence for sequence, _, _ in found] == list(range(9))
    assert spread(found) < STALL / 2
    driver.close()


def test_periods_that_it_cannot_keep_are_refused(driver):
    assert isinstance(driver, Paced)
    driver.check_period(0.002)
    driver.start(0.002)
    driver.stop()
    driver.set_exposure(0.04)
    with pytest.raises(LimitError, match="50 frames a second cannot be reached: at most 25, set by its exposure and"):
        driver.start(0.02)
    driver.load = SyntheticLoad(rate=5)
    with pytest.raises(LimitError, match="at most 5, set by its frame_rate → ask for 5 a second or less"):
        driver.check_period(0.1)
    driver.check_period(0.2 * (1 - 1e-5))


def test_a_rehearsed_failure_comes_once(driver):
    driver.start(0.0)
    driver.fail(CameraError("unplugged"))
    with pytest.raises(CameraError, match="unplugged"):
        driver.next_frame(1.0)
    take(driver)


def test_messages_use_the_name_of_the_device(tmp_path):
    cam = SyntheticCamera(lambda _=None: None, "beam")
    assert (cam.driver.label, cam.driver.book.camera) == ("beam", "beam")


class Scene:
    """A spot that a test changes."""

    def __init__(self):
        self.size, self.power = 1.0, 1.0

    def __call__(self):
        return self


def test_it_sees_the_size_and_the_light_of_its_scene():
    scene = Scene()
    driver = SyntheticDriver(64, 48, scene=scene)
    driver.open()

    def seen():
        driver.start(0.0)
        image = take(driver)[1][1:].astype(float) - 100  # without the offset of every pixel
        driver.stop()
        return image.max(), image.sum()

    peak, whole = seen()
    scene.size = 0.5
    assert seen() == pytest.approx((4 * peak if 4 * peak < 65_435 else 65_435, whole), rel=0.15)
    scene.size, scene.power = 1.0, 0.25
    assert seen() == pytest.approx((peak / 4, whole / 4), rel=0.1)
    scene.power = 0.0
    assert seen()[0] < 60  # noise of the offset
    driver.close()


def test_a_shutter_that_closes_while_it_exposes_on_and_on_is_seen():
    scene = Scene()
    driver = SyntheticDriver(64, 48, scene=scene)
    driver.open()
    driver.set_exposure(0.005)
    driver.start(0.0)
    assert take(driver)[1][1:].max() > 5000
    scene.power = 0.0
    assert any(take(driver)[1][1:].max() < 200 for _ in range(200))
    driver.close()


def test_a_scene_that_is_gone_fails_the_camera():
    def gone():
        raise RuntimeError("the simulated instruments have ended")

    driver = SyntheticDriver(32, 24, scene=gone)
    driver.open()
    with pytest.raises(RuntimeError, match="have ended"):
        driver.start(0.0)
    driver.close()
