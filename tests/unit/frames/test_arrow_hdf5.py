"""Frames out of HDF5 in blocks of bounded size."""

import h5py
import numpy as np
import pytest

from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.frames import COLUMNS, FrameSink, column_path, detector_record, frame_blocks, frame_records
from rdaq_ophyd.frames import _arrow_hdf5 as module


def test_a_file_of_ours_gives_frames_with_scalars_a_block_at_a_time(tmp_path, record, frame, monkeypatch):
    sink = FrameSink(tmp_path / "f.h5", record)
    sink.open().result(10)
    for number in range(7):
        sink.put(frame(number), 0)
    sink.close("complete").result(10)
    monkeypatch.setattr(module, "_BLOCK", 3 * 24)
    schema, blocks = frame_blocks(tmp_path / "f.h5", frames=5)
    assert detector_record(schema) == record
    assert schema.names == ["data", *COLUMNS]
    found = list(blocks)
    assert [block.num_rows for block in found] == [3, 2]
    again = [one for block in found for one in frame_records(block)]
    assert [int(one.ref.array[0, 0]) for one in again] == [0, 1, 2, 3, 4]
    with h5py.File(tmp_path / "f.h5") as file:
        assert [one.statistics.sum for one in again] == list(file[column_path("sum")][:5])
    for one in again:
        one.ref.release()


def test_a_file_from_before_losses_had_a_column_gives_zeros(tmp_path, record, frame):
    sink = FrameSink(tmp_path / "f.h5", record)
    sink.open().result(10)
    sink.put(frame(3), 0)
    sink.close("complete").result(10)
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        del file[column_path("lost_frames")]
    _, blocks = frame_blocks(tmp_path / "f.h5")
    assert [block.column("lost_frames").to_pylist() for block in blocks] == [[0]]


def test_a_file_is_read_while_it_is_written(tmp_path, record, frame):
    sink = FrameSink(tmp_path / "f.h5", record)
    sink.open().result(10)
    sink.put(frame(3), 0)
    sink.truncate(1, 1).result(10)
    try:
        _, blocks = frame_blocks(tmp_path / "f.h5")
        assert sum(block.num_rows for block in blocks) <= 1
    finally:
        sink.close("complete").result(10)


@pytest.mark.parametrize("dtype", [">u2", "<f4", "|u1", "<i8"])
def test_other_authors_files_give_their_pixels(tmp_path, dtype):
    pixels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("somewhere/else", data=pixels, chunks=(1, 3, 4), compression="gzip")
    schema, blocks = frame_blocks(tmp_path / "f.h5", "somewhere/else")
    assert schema.names == ["data"]
    assert np.array_equal(np.concatenate([b.column("data").to_numpy_ndarray() for b in blocks]), pixels)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(CameraError, match="none.h5, a file of frames, is gone"):
        frame_blocks(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(CameraError, match="cannot be opened: .*file signature not found"):
        frame_blocks(tmp_path / "text.h5")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["text"] = np.array([[b"ab"]])
        file["data"] = np.zeros((2, 3, 4))
    with pytest.raises(CameraError, match="has no dataset /nowhere"):
        frame_blocks(tmp_path / "f.h5", "/nowhere")
    with pytest.raises(CameraError, match="has 2 of 3 frames"):
        frame_blocks(tmp_path / "f.h5", "data", frames=3)
    with pytest.raises(CameraError, match="S2 of shape .1, 1. are no frames"):
        frame_blocks(tmp_path / "f.h5", "text")
