"""Chunks by HDF5's own function: the same bytes as h5py's, the same errors, and no lock of Python's meanwhile."""

import ctypes
import threading

import h5py
import numpy as np
import pytest
from h5py._objects import phil

from rdaq_ophyd.frames import _chunks
from rdaq_ophyd.frames._chunks import write_chunk

FRAME = np.arange(64 * 48, dtype="<u2").reshape(48, 64)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w", libver="latest") as made:
        yield made


def dataset_in(file, **more):
    return file.create_dataset("d", (3, 48, 64), "<u2", chunks=(1, 48, 64), **more)


def test_what_is_written_is_what_h5py_would_write(file):
    written = dataset_in(file)
    write_chunk(written.id, (1, 0, 0), FRAME)
    written.id.write_direct_chunk((2, 0, 0), FRAME)
    np.testing.assert_array_equal(written[1], FRAME)
    np.testing.assert_array_equal(written[2], FRAME)
    assert not written[0].any()


def test_bytes_that_a_codec_made(file):
    import zlib

    written = dataset_in(file, compression="gzip")
    write_chunk(written.id, (0, 0, 0), zlib.compress(FRAME.tobytes()))
    np.testing.assert_array_equal(written[0], FRAME)


def test_the_function_is_called_without_pythons_lock():
    function = _chunks._write_function()
    assert function is not None, "on this system it should be found"
    assert not function._flags_ & ctypes._FUNCFLAG_PYTHONAPI  # that of PyDLL, which keeps the lock


def test_only_one_thread_is_in_hdf5(file):
    written = dataset_in(file)
    thread = threading.Thread(target=write_chunk, args=(written.id, (0, 0, 0), FRAME))
    with phil:
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
    thread.join(10)
    np.testing.assert_array_equal(written[0], FRAME)


def test_what_hdf5_refuses_is_told_as_h5py_tells_it(file):
    written = dataset_in(file)
    with pytest.raises((OSError, ValueError, RuntimeError)) as theirs:
        written.id.write_direct_chunk((5, 0, 0), FRAME)
    with pytest.raises(type(theirs.value)) as ours:
        write_chunk(written.id, (5, 0, 0), FRAME)
    assert str(ours.value) == str(theirs.value)


def test_no_row_is_written_between_others(file):
    with pytest.raises(ValueError, match="C-contiguous"):
        write_chunk(dataset_in(file).id, (0, 0, 0), FRAME.T)


def test_where_the_function_is_not_found_h5py_writes(file, monkeypatch):
    monkeypatch.setattr(_chunks, "_write_function", lambda: None)
    written = dataset_in(file)
    write_chunk(written.id, (0, 0, 0), FRAME)
    np.testing.assert_array_equal(written[0], FRAME)
