"""What a frame file holds is counted from its chunks, not taken from what it says."""

import shutil
import time

import h5py
import numpy as np
import pytest

from rdaq_ophyd.frames import (
    DATA,
    CameraIdentity,
    DetectorRecord,
    FrameFormat,
    FrameRecord,
    FrameRef,
    PixelFormat,
    Roi,
    clear_mark,
    column_path,
    frame_statistics,
    note_end,
    read_readable,
)
from rdaq_ophyd.frames._layout import FrameFile

RECORD = DetectorRecord(
    "cam", CameraIdentity("v", "m", "s"), PixelFormat.MONO16, Roi(0, 0, 8, 4), FrameFormat(4, 8, "<u2")
)


def record(number):
    array = np.full((4, 8), number + 1, "<u2")
    ref = FrameRef(array, sequence=number, host_time=time.time())
    return FrameRecord(ref, frame_statistics(array), number, 0.01)


@pytest.fixture
def live(tmp_path):
    file = FrameFile(tmp_path / "live.h5", RECORD)
    file.append([record(n) for n in range(5)], 0)
    yield file
    file.close()


def as_killed(tmp_path):
    return shutil.copy(tmp_path / "live.h5", tmp_path / "killed.h5")


def test_a_file_in_the_making(live, tmp_path):
    found = read_readable(tmp_path / "live.h5")
    assert found.is_frames
    assert found.frame_count == 5
    assert set(found.rows.values()) == {5}
    assert found.exit_status == "writing"


def test_room_without_frames_is_no_frame(live, tmp_path):
    live._frames.id.set_extent((8, 4, 8))
    live._frames.id.write_direct_chunk((5, 0, 0), np.ones((4, 8), "<u2"))
    h5py.h5f.flush(live._file.id)
    found = read_readable(as_killed(tmp_path))
    assert found.declared[DATA] == 8
    assert found.frame_count == 5  # the sixth has pixels, and none of its values


def test_a_row_without_its_time_is_none(live, tmp_path):
    live._frames.id.set_extent((6, 4, 8))
    live._frames.id.write_direct_chunk((5, 0, 0), np.ones((4, 8), "<u2"))
    for column in live._columns.values():
        column.dataset.id.set_extent((6,))
    h5py.h5f.flush(live._file.id)
    assert read_readable(as_killed(tmp_path)).frame_count == 5


def test_a_missing_frame_ends_the_count(live, tmp_path):
    live._frames.id.set_extent((7, 4, 8))
    live._frames.id.write_direct_chunk((6, 0, 0), np.ones((4, 8), "<u2"))
    h5py.h5f.flush(live._file.id)
    assert read_readable(as_killed(tmp_path)).frame_count == 5


def test_the_end_is_noted_and_what_is_not_there_cut_off(live, tmp_path):
    live._frames.id.set_extent((8, 4, 8))
    h5py.h5f.flush(live._file.id)
    path = tmp_path / "killed.h5"
    as_killed(tmp_path)
    clear_mark(path)
    note_end(path, read_readable(path))
    with h5py.File(path) as file:
        assert file[DATA].shape == (5, 4, 8)
        assert file[DATA][:, 0, 0].tolist() == [1, 2, 3, 4, 5]
        assert file[column_path("sequence_numbers")][:].tolist() == [0, 1, 2, 3, 4]
        assert file["/entry/exit_status"][()] == b"interrupted"
        assert file["/entry/end_time"][()] == b""
    before = path.read_bytes()
    note_end(path, read_readable(path))
    assert path.read_bytes() == before


def test_an_empty_file_of_ours(tmp_path):
    file = FrameFile(tmp_path / "live.h5", RECORD)
    h5py.h5f.flush(file._file.id)
    found = read_readable(as_killed(tmp_path))
    file.close()
    assert found.is_frames
    assert found.frame_count == 0


def test_what_others_wrote_is_taken_at_its_word(tmp_path):
    path = tmp_path / "theirs.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("a/data", (6, 2), "f4", maxshape=(None, 2), chunks=(1, 2))  # fill values only
        file["fixed"] = np.arange(3)
    found = read_readable(path)
    assert (found.rows, found.ours, found.frame_count) == ({"/a/data": 6}, False, 0)
    before = path.read_bytes()
    note_end(path, found)
    assert path.read_bytes() == before
