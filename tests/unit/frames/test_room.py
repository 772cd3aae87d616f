"""Room on the disk that is taken ahead of the frames: never seen in the file's size, and given back."""

import errno
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from itertools import pairwise

import h5py
import numpy as np
import psutil
import pytest

from rdaq_ophyd.frames import (
    DATA,
    CameraIdentity,
    Compression,
    DetectorRecord,
    FrameFormat,
    FrameRecord,
    FrameRef,
    FrameSink,
    PixelFormat,
    Roi,
    _gone,
    _room,
    clear_mark,
    frame_statistics,
)
from rdaq_ophyd.frames._layout import FrameFile

SIDE = 512
NBYTES = SIDE * SIDE * 2
SLACK = 256 << 10
"""Bytes that a file system may take for its own ends."""
RECORD = DetectorRecord(
    "cam",
    CameraIdentity("maker", "model", "42"),
    PixelFormat.MONO16,
    Roi(0, 0, SIDE, SIDE),
    FrameFormat(SIDE, SIDE, "<u2"),
)


def append(file, first, number):
    """Frames at once; every pixel of each is its number."""
    made = []
    for n in range(first, first + number):
        pixels = np.full((SIDE, SIDE), n, "<u2")
        made.append(FrameRecord(FrameRef(pixels, sequence=n, host_time=float(n)), frame_statistics(pixels), n, 0.01))
    file.append(made, 0)
    for frame in made:
        frame.ref.release()


def size(path):
    return path.stat().st_size


def taken(path):
    """Bytes on the disk, once what is still in memory has its place there."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path.stat().st_blocks * 512


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(_room, "PLENTY", 0)
    if _room.fallocate() is None:
        pytest.skip("this system takes no room ahead")
    with (tmp_path / "probe").open("wb") as probe:
        if _room.fallocate()(probe.fileno(), 1, 0, 1 << 20):
            pytest.skip("nor does this file system")
    return tmp_path / "frames.h5"


@pytest.fixture
def asked(monkeypatch):
    """What was asked of the system, which answers as ``asked.answers`` say, or does it."""

    class Asked(list):
        answers = ()

    found, real = Asked(), _room.fallocate()

    def take(handle, mode, begin, length):
        found.append((begin, length))
        return found.answers[len(found) - 1] if len(found) <= len(found.answers) else real(handle, mode, begin, length)

    monkeypatch.setattr(_room, "fallocate", lambda: take)
    return found


def test_a_long_file_has_room_ahead_and_its_readers_see_none_of_it(path, asked):
    file, number = FrameFile(path, RECORD), 0
    for _ in range(30):
        append(file, number, 2)
        number += 2
        assert file._room.until <= 2 * size(path) + SLACK
        assert size(path) <= number * NBYTES + SLACK
    assert len(asked) <= 8  # of 30: the pieces grow
    assert taken(path) > size(path) + NBYTES
    with h5py.File(path, swmr=True) as reader:
        assert [int(pixels[0, 0]) for pixels in reader[DATA]] == list(range(number))
    file.close()
    assert taken(path) <= size(path) + SLACK
    with h5py.File(path) as reader:
        assert [int(pixels[-1, -1]) for pixels in reader[DATA]] == list(range(number))


def test_no_piece_is_larger_than_one_takes_at_once(path, asked, monkeypatch):
    monkeypatch.setattr(_room, "STEP", 3 * NBYTES)
    file = FrameFile(path, RECORD)
    for number in range(20):
        append(file, number, 1)
    file.close()
    assert max(length for _, length in asked) <= 4 * NBYTES  # the frame that comes, and those ahead
    assert all(begin + length <= later for (begin, length), (later, _) in pairwise(asked))


def test_on_a_disk_that_is_nearly_full_a_file_takes_what_it_fills(path, asked, monkeypatch):
    monkeypatch.setattr(_room, "PLENTY", 1 << 62)
    file = FrameFile(path, RECORD)
    append(file, 0, 4)
    append(file, 4, 4)
    file.close()
    assert asked == []
    assert taken(path) <= size(path) + SLACK


def test_where_the_file_system_knows_no_such_thing_it_is_asked_once(path, asked):
    asked.answers = (errno.EOPNOTSUPP,)
    file = FrameFile(path, RECORD)
    for number in range(3):
        append(file, number, 1)
    file.close()
    assert len(asked) == 1
    assert file._room.until == 0
    with h5py.File(path) as reader:
        assert reader[DATA].shape[0] == 3


def test_it_is_asked_again_after_a_signal(path, asked):
    asked.answers = (errno.EINTR,)
    file = FrameFile(path, RECORD)
    append(file, 0, 1)
    assert file._room.until == 0
    append(file, 1, 1)
    assert file._room.until >= size(path)
    file.close()


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "too many"), RuntimeError("HDF5 does not know")])
def test_no_trouble_with_it_ends_a_run(path, monkeypatch, error):
    def failing(_handle):
        raise error

    monkeypatch.setattr(os, "fstatvfs", failing)
    file = FrameFile(path, RECORD)
    append(file, 0, 3)
    file.close()
    with h5py.File(path) as reader:
        assert reader[DATA].shape[0] == 3


def test_what_was_taken_before_such_trouble_is_given_back(path, monkeypatch):
    file = FrameFile(path, RECORD)
    append(file, 0, 8)
    append(file, 8, 1)
    assert taken(path) > size(path) + NBYTES

    def failing(_handle):
        raise OSError(errno.EIO, "the disk is gone for a moment")

    monkeypatch.setattr(os, "fstatvfs", failing)
    append(file, 9, 1)  # within the room that there is
    monkeypatch.setattr(file._room, "until", 0)
    append(file, 10, 1)
    assert file._room._take is None
    file.close()
    assert taken(path) <= size(path) + SLACK


def test_what_is_left_of_a_failed_try_is_given_back(path, asked, monkeypatch):
    """ext4 keeps what it got when it has too little."""
    real = _room.fallocate()

    def short(handle, mode, begin, length):
        real(handle, mode, begin, length)
        return errno.ENOSPC

    monkeypatch.setattr(_room, "fallocate", lambda: short)
    file = FrameFile(path, RECORD)
    append(file, 0, 8)
    append(file, 8, 1)
    assert len(asked) == 1
    assert taken(path) <= size(path) + SLACK
    file.close()


def test_compressed_frames_take_what_they_have_become(path, asked):
    record = replace(RECORD, compression=Compression.BLOSC2_LZ4)
    sink = FrameSink(path, record, depth=8)
    sink.open().result(10)
    for number in range(8):
        pixels = np.full((SIDE, SIDE), number, "<u2")
        ref = FrameRef(pixels, sequence=number, host_time=float(number))
        assert sink.put(FrameRecord(ref, frame_statistics(pixels), number, 0.01), 0)
    sink.close("complete").result(10)
    assert sum(length for _, length in asked) < NBYTES


def test_a_file_that_was_removed_is_put_back_where_its_room_is_needed(path, asked, monkeypatch):
    """Its own room must not count as taken by others then."""
    file = FrameFile(path, RECORD)
    append(file, 0, 8)
    path.unlink()
    behind = []
    real = _gone._copy
    monkeypatch.setattr(_gone, "_copy", lambda held, *more: (behind.append(os.fstat(held)), real(held, *more)))
    file.close()
    (held,) = behind
    assert held.st_blocks * 512 <= held.st_size + SLACK
    with h5py.File(path) as reader:
        assert reader[DATA].shape[0] == 8


def test_elsewhere_than_on_linux_nothing_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(_room, "fallocate", lambda: None)
    file = FrameFile(tmp_path / "frames.h5", RECORD)
    append(file, 0, 2)
    file.close()
    with h5py.File(tmp_path / "frames.h5") as reader:
        assert reader[DATA].shape[0] == 2


def test_the_room_of_a_writer_that_was_killed_is_given_back_by_repair(path):
    program = """
        import os, sys
        from pathlib import Path
        from test_room import RECORD, FrameFile, append
        file = FrameFile(Path(sys.argv[1]), RECORD)
        for first in range(0, 24, 4):
            append(file, first, 4)
        os._exit(9)
    """
    here = os.path.dirname(__file__)
    child = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    assert subprocess.run(child, timeout=60, cwd=here, check=False).returncode == 9
    assert taken(path) > size(path) + NBYTES
    before = path.read_bytes()
    clear_mark(path)
    assert taken(path) <= size(path) + SLACK
    assert path.read_bytes()[48:] == before[48:]


def test_files_leave_no_descriptor_behind(path):
    def files():
        return [fd for fd in psutil.Process().open_files() if fd.path == str(path)]

    file = FrameFile(path, RECORD)
    append(file, 0, 1)
    assert files()
    file.close()
    file.close()
    assert not files()
