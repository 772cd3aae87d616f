"""Memory for frames: there before it is used, on large pages where there are some, and given back."""

import gc
import mmap
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.frames import LARGE_PAGE, SyntheticDriver, frame_array, frame_memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def resident(array):
    """How many bytes of it are in memory: bit 63 of each page's entry (kernel, admin-guide/mm/pagemap)."""
    first, last = array.ctypes.data // mmap.PAGESIZE, (array.ctypes.data + array.nbytes - 1) // mmap.PAGESIZE
    with open("/proc/self/pagemap", "rb") as pages:
        pages.seek(first * 8)
        entries = np.frombuffer(pages.read((last - first + 1) * 8), "<u8")
    return int((entries >> 63).sum()) * mmap.PAGESIZE


def on_large_pages(array):
    """Bytes of the mapping that holds the array's first byte which are on large pages."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            low, high = (int(end, 16) for end in head.split("-"))
            inside = low <= array.ctypes.data < high
        elif inside and head == "AnonHugePages:":
            return int(line.split()[1]) * 1024
    raise AssertionError("no such mapping")


def is_mapped(address):
    mapped = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines()]
    return any(int(low, 16) <= address < int(high, 16) for low, high in mapped)


@linux
@pytest.mark.parametrize("nbytes", [1, 4097, LARGE_PAGE - 1, LARGE_PAGE, 4 * LARGE_PAGE, 4 * LARGE_PAGE + 12345])
def test_memory_is_there_before_the_first_frame(nbytes):
    memory = frame_memory(nbytes)
    assert memory.nbytes == nbytes
    assert resident(memory) >= nbytes
    assert memory.ctypes.data % mmap.PAGESIZE == 0


@linux
def test_a_large_frame_lies_on_large_pages():
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[never]" in setting.read_text():
        pytest.skip("this system has no large pages")
    memory = frame_memory(4 * LARGE_PAGE + 5000)
    assert memory.ctypes.data % LARGE_PAGE == 0
    assert on_large_pages(memory) >= LARGE_PAGE  # all four, but where memory is in pieces


@linux
def test_no_more_memory_is_taken_than_the_frame_needs():
    before = int(Path("/proc/self/statm").read_text().split()[1])
    frames = [frame_memory(LARGE_PAGE + 4096) for _ in range(16)]
    taken = (int(Path("/proc/self/statm").read_text().split()[1]) - before) * os.sysconf("SC_PAGESIZE")
    assert taken < 1.2 * sum(frame.nbytes for frame in frames)


@linux
def test_memory_goes_back_with_the_last_view():
    memory = frame_memory(4 * LARGE_PAGE)
    address, view = memory.ctypes.data, memory[100:200]
    del memory
    gc.collect()
    view[:] = 7
    assert (view == 7).all()
    del view
    gc.collect()
    assert not is_mapped(address)


@linux
def test_a_system_without_large_pages_gives_memory_all_the_same(monkeypatch):
    class Older(mmap.mmap):
        def madvise(self, option, *where):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(mmap, "mmap", Older)
    memory = frame_memory(2 * LARGE_PAGE)
    assert resident(memory) >= memory.nbytes


def turns_within_making():
    """How often this thread had a turn in the middle of the time that another one took to make memory."""
    span, turns = [], []

    def make():
        span.append(time.perf_counter())
        frame_memory(256 << 20)
        span.append(time.perf_counter())

    thread = threading.Thread(target=make)
    thread.start()
    while thread.is_alive():
        turns.append(time.perf_counter())
        time.sleep(0)
    began, ended = span
    margin = (ended - began) / 10
    return sum(began + margin < turn < ended - margin for turn in turns)


@linux
def test_others_go_on_while_memory_is_made():
    """Python's lock is not held: a signal's handler, a stop, need not wait for it."""
    assert any(turns_within_making() for _ in range(20))  # once is enough: this thread may have no processor just then


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3 * LARGE_PAGE))
def test_every_byte_can_be_written_and_stays(nbytes):
    memory = frame_memory(nbytes)
    memory[:] = 0xA5
    other = frame_memory(nbytes)
    other[:] = 0
    assert (memory == 0xA5).all()


@pytest.mark.parametrize("nbytes", [0, -1])
def test_no_bytes_are_refused(nbytes):
    with pytest.raises(ValueError, match=f"at least 1 byte, not {nbytes}"):
        frame_memory(nbytes)


@linux
def test_too_much_is_a_memory_error():
    with pytest.raises(MemoryError, match="no memory for a frame of 1152921504606846976 bytes"):
        frame_memory(1 << 60)


def test_a_frame_has_its_shape_and_kind():
    frame = frame_array((3, 5), "<u2")
    assert (frame.shape, frame.dtype, frame.flags.c_contiguous) == ((3, 5), np.dtype("<u2"), True)


@linux
def test_the_synthetic_camera_takes_its_buffers_there():
    driver = SyntheticDriver(2048, 1024, buffers=2)
    driver.open()
    driver.start(0.0)
    ref = driver.next_frame(5.0)
    assert ref is not None
    assert ref.array.ctypes.data % LARGE_PAGE == 0
    address = ref.array.ctypes.data
    ref.release()
    del ref
    driver.close()
    gc.collect()
    assert not is_mapped(address)
