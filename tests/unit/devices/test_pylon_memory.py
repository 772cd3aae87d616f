"""pylon's grab buffers: memory of ours, kept from one acquisition to the next."""

import sys

import numpy as np
import pytest

from rdaq_ophyd.devices import _pylon_memory
from rdaq_ophyd.devices._pylon_memory import GrabMemory
from rdaq_ophyd.devices.pylon import SPARE, PylonDriver
from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.frames import LARGE_PAGE, PixelFormat, Roi

pytest.importorskip("pypylon.pylon", reason="pypylon is not installed")
BUFFERS = 3


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.setenv("PYLON_CAMEMU", "2")
    made = PylonDriver("0815-0000", buffers=BUFFERS)
    made.open()
    made.set_pixel_format(PixelFormat.MONO16)
    made.set_exposure(0.0001)
    made.set_roi(Roi(0, 0, 2048, 1024))
    yield made
    made.stop()
    made.close()


@pytest.fixture
def taken(monkeypatch):
    """How large the buffers are that are taken from the system."""
    sizes = []
    real = _pylon_memory.frame_memory
    monkeypatch.setattr(_pylon_memory, "frame_memory", lambda nbytes: sizes.append(nbytes) or real(nbytes))
    return sizes


def frames(driver, number=2 * BUFFERS):
    """Grab some; where they lay."""
    addresses = set()
    driver.start(0.0)
    while number:
        ref = driver.next_frame(2.0)
        if ref is not None:
            addresses.add(ref.array.ctypes.data)
            ref.release()
            number -= 1
    driver.stop()
    return addresses


def test_frames_arrive_in_our_memory_and_find_it_again(driver, taken):
    first = frames(driver)
    assert len(taken) == BUFFERS + SPARE
    assert first == {address for address in first if address % LARGE_PAGE == 0 or sys.platform != "linux"}
    again = frames(driver)
    assert len(taken) == BUFFERS + SPARE  # none anew
    assert again & first


def test_another_region_has_buffers_of_its_own_size(driver, taken):
    frames(driver)
    driver.set_roi(Roi(0, 0, 64, 48))
    small = frames(driver)
    assert len(taken) == 2 * (BUFFERS + SPARE)
    assert set(taken) == {2048 * 1024 * 2, 64 * 48 * 2}
    assert small


def test_a_frame_on_lease_outlives_stop_start_and_close(driver):
    driver.start(0.0)
    while (ref := driver.next_frame(2.0)) is None:
        pass
    kept = ref.array.copy()
    driver.stop()
    frames(driver)
    driver.close()
    assert np.array_equal(ref.array, kept)
    ref.release()


def test_memory_goes_back_to_the_system_with_the_camera_but_for_what_is_on_lease(driver):
    frames(driver)
    driver.start(0.0)
    while (ref := driver.next_frame(2.0)) is None:
        pass
    driver.stop()
    assert len(driver._memory._free) == BUFFERS + SPARE - 1
    driver.close()
    assert not driver._memory._free
    ref.release()
    assert not driver._memory._free


def test_without_memory_the_start_says_so_and_the_next_one_works(driver, monkeypatch):
    left = [1]

    def scarce(nbytes):
        if not left:
            raise MemoryError(f"no memory for a frame of {nbytes} bytes")
        return np.empty(nbytes * left.pop(), np.uint8)

    with monkeypatch.context() as patch:
        patch.setattr(_pylon_memory, "frame_memory", scarce)
        with pytest.raises(CameraError, match=r"0815-0000 does not start.*no memory for a frame of 4194304") as caught:
            driver.start(0.0)
        assert "fewer buffers" in str(caught.value)
    assert frames(driver)


def test_buffers_of_before_are_let_go_when_others_are_wanted():
    memory = GrabMemory(8)
    old = [memory.take(100) for _ in range(3)]
    memory.put_back(old.pop())
    assert memory.take(50).size == 50
    memory.put_back(old.pop())  # one that was on lease meanwhile
    assert not memory._free
    assert memory.take(50).size == 50


def test_no_more_are_kept_than_the_camera_has():
    memory = GrabMemory(2)
    for buffer in [memory.take(100) for _ in range(5)]:  # of two acquisitions, some on lease
        memory.put_back(buffer)
    assert len(memory._free) == 2
