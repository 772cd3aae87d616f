"""The writer's mark: read and cleared without HDF5, and checked with HDF5 and its own tool."""

import shutil
import subprocess

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.frames import clear_mark, writer_mark
from rdaq_ophyd.frames._superblock import lookup3


def test_the_hash_of_its_author():
    # The two values in the self-test of lookup3.c (driver5).
    assert lookup3(b"Four score and seven years ago") == 0x17770551
    assert lookup3(b"") == 0xDEADBEEF


@given(st.binary(max_size=60), st.integers(0, 479))
def test_one_bit_changes_the_hash(data, bit):
    data = data or b"\0"
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    assert lookup3(bytes(changed)) != lookup3(data)


@pytest.fixture
def killed(tmp_path):
    """A file as a killed writer leaves it: copied while it is open, after a flush."""
    path = tmp_path / "killed.h5"
    with h5py.File(tmp_path / "live.h5", "w", libver="latest") as file:
        data = file.create_dataset("data", (0, 4), "<u2", maxshape=(None, 4), chunks=(1, 4))
        file.swmr_mode = True
        for row in range(5):
            data.resize(row + 1, axis=0)
            data[row] = row
            data.flush()
        shutil.copy(tmp_path / "live.h5", path)
    return path


def content(path):
    with h5py.File(path) as file:
        return file["data"][:, 0].tolist()


def test_a_plain_reader_opens_the_file_once_the_mark_is_cleared(killed):
    assert writer_mark(killed).marked
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(killed)
    before = killed.read_bytes()
    clear_mark(killed)
    assert not writer_mark(killed).marked
    assert content(killed) == [0, 1, 2, 3, 4]
    assert killed.read_bytes()[48:] == before[48:]
    clear_mark(killed)
    assert content(killed) == [0, 1, 2, 3, 4]


def test_the_next_writer_takes_no_room_that_is_taken(killed):
    clear_mark(killed)
    with h5py.File(killed, "r+") as file:
        file["more"] = np.arange(10_000)
    assert content(killed) == [0, 1, 2, 3, 4]


@pytest.mark.skipif(shutil.which("h5clear") is None, reason="HDF5's tools are not installed")
def test_hdf5s_own_tool_leaves_the_same_data(killed, tmp_path):
    other = shutil.copy(killed, tmp_path / "h5clear.h5")
    subprocess.run(["h5clear", "-s", "-i=0", other], check=True, timeout=20)
    clear_mark(killed)
    assert content(other) == content(killed)


def test_a_file_that_was_cut_off_is_told_and_not_touched(killed):
    size = writer_mark(killed)
    clear_mark(killed)
    whole = killed.read_bytes()
    killed.write_bytes(whole[:-10])
    assert (size.missing, writer_mark(killed).missing) == (0, 10)
    with pytest.raises(ValueError, match="no whole HDF5 file"):
        clear_mark(killed)
    assert killed.read_bytes() == whole[:-10]


@pytest.mark.parametrize("damage", [b"", b"no HDF5 at all" * 10, None])
def test_what_is_no_hdf5_file_has_no_mark(killed, damage):
    killed.write_bytes(b"\0" + killed.read_bytes()[1:] if damage is None else damage)
    assert writer_mark(killed) is None
    with pytest.raises(ValueError, match="no whole HDF5 file"):
        clear_mark(killed)


def test_a_file_without_swmr_has_none(tmp_path):
    with h5py.File(tmp_path / "old.h5", "w", libver="earliest") as file:
        file["x"] = 1
    assert writer_mark(tmp_path / "old.h5") is None
