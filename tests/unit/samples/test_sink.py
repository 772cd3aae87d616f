"""The writer thread: order, layout, growth seen by a reader, generations, failures, closing."""

import errno
import threading

import h5py
import numpy as np
import pytest

from rdaq_ophyd.errors import DataDirectoryError
from rdaq_ophyd.samples import (
    CARD,
    COLUMNS,
    LAYOUT_VERSION,
    STATISTICS,
    SampleSink,
    check_room,
    column_path,
    samples_path,
    statistic_path,
)
from rdaq_ophyd.samples._layout import SampleFile
from rdaq_ophyd.samples._records import COLUMN_CHUNK, chunk_blocks
from rdaq_ophyd.samples._room import size_of


@pytest.fixture
def opened(tmp_path, record):
    rows, failed = [], []
    changed = threading.Condition()

    def tell(found, what):
        with changed:
            found.append(what)
            changed.notify_all()

    sink = SampleSink(
        tmp_path / "samples.h5",
        record,
        depth=4,
        on_written=lambda count: tell(rows, count),
        on_failed=lambda error: tell(failed, error),
    )
    sink.open().result(10)
    sink.rows, sink.failed = rows, failed
    sink.wait_rows = lambda n: _wait(changed, lambda: rows and rows[-1] >= n)
    sink.wait_failed = lambda: _wait(changed, lambda: failed)
    yield sink
    sink.close("aborted").result(10)


def _wait(changed, condition):
    with changed:
        assert changed.wait_for(condition, 10)


def test_blocks_come_out_in_order_with_what_is_known_of_them(opened, block):
    for number in range(50):  # more than the ring has: each comes back
        assert opened.put(block(opened, number, lost=number == 7), 0)
    opened.lost = 1
    opened.close("complete").result(10)
    assert opened.ring.free == opened.ring.depth
    assert opened.rows == sorted(set(opened.rows))
    expected = np.arange(200).reshape(50, 4) / 4
    expected[7, 0] = np.nan
    with h5py.File(opened.path) as file:
        assert np.array_equal(file[samples_path("a")][:], expected.astype("<f4"), equal_nan=True)
        assert np.array_equal(file[samples_path("b")][:], -expected.astype("<f4"), equal_nan=True)
        for name, (dtype, _, _) in COLUMNS.items():
            assert file[column_path(name)].shape == (50,)
            assert file[column_path(name)].dtype == np.dtype(dtype)
        assert list(file[column_path("timestamps")]) == [1000.0 + n for n in range(50)]
        assert list(file[column_path("arrival_times")]) == [1000.5 + n for n in range(50)]
        assert list(file[column_path("sample_index")]) == [4 * n for n in range(50)]
        assert list(file[column_path("lost_samples")]) == [int(n == 7) for n in range(50)]
        assert np.allclose(file[statistic_path("a", "mean")], np.nanmean(expected, axis=1))
        assert np.allclose(file[statistic_path("b", "min")], np.nanmin(-expected, axis=1))
        assert file["/entry/exit_status"][()] == b"complete"
        assert file["/entry/end_time"][()].startswith(b"20")
        assert file[CARD]["lost_samples"][()] == 1


def test_layout_is_nexus_with_units_and_both_calibrations(opened, block):
    opened.put(block(opened, 5), 0)
    opened.close("complete").result(10)
    with h5py.File(opened.path) as file:
        classes, strings = {}, []

        def visit(name, node):
            classes[name] = node.attrs.get("NX_class")
            if isinstance(node, h5py.Dataset) and (kind := h5py.check_string_dtype(node.dtype)):
                strings.append(kind.length)

        file.visititems(visit)
        assert strings
        assert None not in strings, "variable-length strings may not change under SWMR"
        assert file.attrs["rdaq_layout_version"] == LAYOUT_VERSION
        assert classes["entry"] == "NXentry"
        assert classes["entry/instrument/a"] == "NXsensor"
        data = file["entry/data"]
        assert classes["entry/data"] == "NXdata"
        assert data.attrs["signal"] == "a"
        assert list(data.attrs["auxiliary_signals"]) == ["b"]
        assert list(data.attrs["axes"]) == ["timestamps", "sample_time"]
        assert list(data["sample_time"]) == [0, 0.001, 0.002, 0.003]
        assert (data["a"].attrs["units"], data["b"].attrs["units"]) == ("V", "W")
        a, b = file["entry/instrument/a"], file["entry/instrument/b"]
        assert list(a["range"]) == [-10, 10]
        assert a["coupling"].asstr()[()] == "AC"
        assert "range" not in b
        assert "coupling" not in b
        assert b["value"] == data["b"]
        assert b["card_units"].asstr()[()] == "V"
        # value = (counts · 0.5 + 0) V · 2 W/V − 1 W
        assert (b["count_scale"][()], b["count_offset"][()]) == (1.0, -1.0)
        assert (b["calibration_scale"][()], b["calibration_offset"][()]) == (2.0, -1.0)
        assert b["calibration_scale"].attrs["units"] == "W/V"
        assert set(STATISTICS) <= set(b)
        card = file[CARD]
        assert card["sample_rate"][()] == 1000.0
        assert card["serial_number"].asstr()[()] == "42"


def test_what_was_announced_is_readable_while_writing(opened, block):
    opened.put(block(opened, 1), 0)
    opened.wait_rows(1)
    with h5py.File(opened.path, "r", libver="latest", swmr=True) as reader:
        assert list(reader[samples_path("a")][0]) == [1, 1.25, 1.5, 1.75]
        opened.put(block(opened, 2), 0)
        opened.wait_rows(2)
        for path in (samples_path("a"), statistic_path("a", "mean")):
            reader[path].id.refresh()
        assert list(reader[samples_path("a")][:, 0]) == [1, 2]
        assert list(reader[statistic_path("a", "mean")]) == [1.375, 2.375]


def test_a_new_generation_discards_counts_and_overwrites(opened, block):
    for number in range(6):
        opened.put(block(opened, number), 0)
    opened.wait_rows(6)
    assert opened.truncate(2, generation=1).result(10) == 2
    assert opened.discarded == 16
    assert not opened.put(block(opened, 99), 0), "the old generation is over"
    opened.discard(3)
    assert opened.discarded == 23
    for number in (10, 11):
        assert opened.put(block(opened, number), 1)
    opened.close("complete").result(10)
    with h5py.File(opened.path) as file:
        assert list(file[samples_path("a")][:, 0]) == [0, 1, 10, 11]
        assert list(file[column_path("timestamps")]) == [1000, 1001, 1010, 1011]
        assert file[CARD]["discarded_samples"][()] == 23


def test_truncation_reaches_back_into_earlier_chunks(tmp_path, record, block):
    sink = SampleSink(tmp_path / "unused.h5", record, depth=4)
    file = SampleFile(tmp_path / "f.h5", record)
    total = max(COLUMN_CHUNK, chunk_blocks(record.form)) + 5

    def append(numbers):
        for number in numbers:
            each = block(sink, number)
            file.append([each], 0)
            each.release()

    append(range(total))
    file.truncate(COLUMN_CHUNK - 2, 7)
    append(range(5))
    file.close()
    with h5py.File(tmp_path / "f.h5") as read:
        expected = [*range(COLUMN_CHUNK - 2), 0, 1, 2, 3, 4]
        assert list(read[samples_path("a")][:, 0]) == expected
        assert list(read[column_path("sample_index")]) == [4 * n for n in expected]


def test_a_failed_write_keeps_what_was_flushed_and_gives_every_block_back(opened, block, monkeypatch):
    opened.put(block(opened, 0), 0)
    opened.wait_rows(1)

    def full(self, blocks, lost):
        for rows in self._samples:
            rows.append(blocks[0].values[0])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SampleFile, "append", full)
    opened.put(block(opened, 1), 0)
    opened.wait_failed()
    assert "no room left" in str(opened.failed[0])
    assert not opened.put(block(opened, 2), 0)
    assert opened.truncate(0, 1).result(10) == 0
    opened.close("complete").result(10)
    assert opened.ring.free == opened.ring.depth
    with h5py.File(opened.path) as file:
        assert list(file[samples_path("a")][:, 0]) == [0]
        assert file["/entry/exit_status"][()] == b"failed"


def test_closing_twice_is_once_and_a_file_without_blocks_is_removed(opened, block):
    first = opened.close("aborted")
    assert opened.close("complete") is first
    first.result(10)
    assert not opened.path.exists()
    assert not opened.put(block(opened, 1), 0)


@pytest.mark.parametrize("name", ["gone/f.h5", "there.h5"])
def test_a_file_that_cannot_be_made_is_told_at_once(tmp_path, record, name):
    (tmp_path / "there.h5").write_bytes(b"mine")
    with pytest.raises(DataDirectoryError):
        SampleSink(tmp_path / name, record).open().result(10)
    assert (tmp_path / "there.h5").read_bytes() == b"mine"


def test_room_is_forecast_from_above_and_not_far_above(opened, block, record):
    for number in range(600):
        opened.put(block(opened, number), 0)
    opened.close("complete").result(10)
    size = opened.path.stat().st_size
    assert size <= size_of(600, record.form) <= size + (1 << 20)
    check_room(10, record.form, opened.path.parent)
    with pytest.raises(DataDirectoryError, match=r"blocks of 4 samples of 2 channels need \d+ MiB"):
        check_room(10**15, record.form, opened.path.parent)
    with pytest.raises(DataDirectoryError, match="does not exist"):
        check_room(1, record.form, opened.path.parent / "gone")
