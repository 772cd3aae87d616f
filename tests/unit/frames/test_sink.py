"""The writer thread: order, batches, generations, growth seen by a reader, closing."""

import threading
import weakref

import h5py
import numpy as np
import pytest

from rdaq_ophyd.errors import DataDirectoryError
from rdaq_ophyd.frames import COLUMNS, DATA, LAYOUT_VERSION, FrameSink, column_path
from rdaq_ophyd.frames._layout import FrameFile
from rdaq_ophyd.frames._records import COLUMN_CHUNK


@pytest.fixture
def opened(tmp_path, record):
    rows = []
    changed = threading.Condition()

    def written(count):
        with changed:
            rows.append(count)
            changed.notify_all()

    sink = FrameSink(tmp_path / "frames.h5", record, depth=4, on_written=written)
    sink.open().result(10)
    sink.rows = rows
    sink.wait_rows = lambda n: _wait(changed, lambda: rows and rows[-1] >= n)
    yield sink
    sink.close("aborted").result(10)


def _wait(changed, condition):
    with changed:
        assert changed.wait_for(condition, 10)


def test_frames_come_out_in_order_with_their_scalars(opened, frame):
    returned = []
    for number in range(20):
        assert opened.put(frame(number, returned), 0)
    opened.lost = 3
    opened.close("complete").result(10)
    assert returned == list(range(20))
    assert opened.rows == sorted(set(opened.rows))
    assert opened.rows[-1] == 20
    with h5py.File(opened.path) as file:
        assert [int(f[0, 0]) for f in file[DATA]] == list(range(20))
        for name, (dtype, _, _) in COLUMNS.items():
            assert file[column_path(name)].shape == (20,)
            assert file[column_path(name)].dtype == np.dtype(dtype)
        assert list(file[column_path("sum")]) == [12 * n for n in range(20)]
        assert list(file[column_path("timestamps")]) == [1000.0 + n for n in range(20)]
        assert file["/entry/exit_status"][()] == b"complete"
        assert file["/entry/end_time"][()].startswith(b"20")
        assert file["/entry/instrument/detector/lost_frames"][()] == 3


def test_layout_is_nexus_and_bears_its_version(opened, frame):
    opened.put(frame(5), 0)
    opened.close("complete").result(10)
    with h5py.File(opened.path) as file:
        classes = {}
        file.visititems(lambda name, node: classes.update({name: node.attrs.get("NX_class")}))
        assert file.attrs["rdaq_layout_version"] == LAYOUT_VERSION
        assert classes["entry"] == "NXentry"
        assert classes["entry/data"] == "NXdata"
        assert classes["entry/instrument/detector"] == "NXdetector"
        assert file["entry/data"].attrs["signal"] == "data"
        detector = file["entry/instrument/detector"]
        assert detector["serial_number"].asstr()[()] == "42"
        assert detector["pixel_format"].asstr()[()] == "Mono16"
        assert list(detector["region"]) == [1, 2, 4, 3]
        assert detector["data"] == file[DATA]
        assert detector["count_time"].attrs["units"] == "s"
        assert not any(h5py.check_string_dtype(d.dtype).length is None for d in _strings(file))


def _strings(file):
    found = []
    file.visititems(
        lambda _, n: found.append(n) if isinstance(n, h5py.Dataset) and h5py.check_string_dtype(n.dtype) else None
    )
    assert found
    return found


def test_what_was_announced_is_readable_while_writing(opened, frame):
    opened.put(frame(1), 0)
    opened.wait_rows(1)
    with h5py.File(opened.path, "r", libver="latest", swmr=True) as reader:
        assert reader[DATA][0, 0, 0] == 1
        opened.put(frame(2), 0)
        opened.wait_rows(2)
        reader[DATA].id.refresh()
        reader[column_path("mean")].id.refresh()
        assert list(reader[DATA][:, 0, 0]) == [1, 2]
        assert list(reader[column_path("mean")]) == [1.0, 2.0]


def test_a_new_generation_discards_counts_and_overwrites(opened, frame):
    returned = []
    for number in range(6):
        opened.put(frame(number, returned), 0)
    opened.wait_rows(6)
    assert opened.truncate(2, generation=1).result(10) == 2
    assert opened.discarded == 4
    assert not opened.put(frame(99, returned), 0), "the old generation is over"
    assert opened.discarded == 5
    for number in (10, 11):
        assert opened.put(frame(number, returned), 1)
    opened.close("complete").result(10)
    assert sorted(returned) == [0, 1, 2, 3, 4, 5, 10, 11, 99]
    with h5py.File(opened.path) as file:
        assert list(file[DATA][:, 0, 0]) == [0, 1, 10, 11]
        assert list(file[column_path("sequence_numbers")]) == [0, 1, 10, 11]
        assert file["/entry/instrument/detector/discarded_frames"][()] == 5


def test_truncation_reaches_back_into_earlier_chunks_of_a_column(tmp_path, record, frame):
    file = FrameFile(tmp_path / "f.h5", record)
    total = COLUMN_CHUNK + 5
    for start in range(0, total, 103):
        records = [frame(n) for n in range(start, min(start + 103, total))]
        file.append(records, 0)
        for each in records:
            each.ref.release()
    file.truncate(COLUMN_CHUNK - 2, 7)
    again = [frame(n) for n in range(5)]
    file.append(again, 0)
    for each in again:
        each.ref.release()
    file.close()
    with h5py.File(tmp_path / "f.h5") as read:
        expected = [*range(COLUMN_CHUNK - 2), 0, 1, 2, 3, 4]
        assert list(read[column_path("sequence_numbers")]) == expected
        assert list(read[DATA][:, 0, 0]) == [n % 65536 for n in expected]


def test_a_full_queue_holds_the_camera_back_and_a_new_generation_frees_it(opened, frame, monkeypatch):
    gate = threading.Event()
    append = FrameFile.append
    monkeypatch.setattr(FrameFile, "append", lambda *a: (gate.wait(10), append(*a))[1])
    taken = []

    def camera():
        for number in range(30):
            if not opened.put(frame(number), 0):
                break
            taken.append(number)

    thread = threading.Thread(target=camera)
    thread.start()
    _until(lambda: len(opened._waiting) == opened.depth)
    assert len(taken) <= opened.depth + 8
    ended = opened.truncate(0, generation=1)
    thread.join(10)
    assert not thread.is_alive()
    gate.set()
    ended.result(10)
    with h5py.File(opened.path, "r", swmr=True) as reader:
        assert reader[DATA].shape[0] == 0


def test_a_halted_camera_does_not_wait_for_room(opened, frame, monkeypatch):
    gate, halt = threading.Event(), threading.Event()
    append = FrameFile.append
    monkeypatch.setattr(FrameFile, "append", lambda *a: (gate.wait(10), append(*a))[1])
    answers = []
    thread = threading.Thread(target=lambda: answers.extend(opened.put(frame(n), 0, halt) for n in range(20)))
    thread.start()
    _until(lambda: len(opened._waiting) == opened.depth)
    halt.set()
    thread.join(10)
    gate.set()
    assert not thread.is_alive()
    assert answers.count(True) >= opened.depth
    assert not answers[-1]


def _until(condition):
    event = threading.Event()
    for _ in range(1000):
        if condition():
            return
        event.wait(0.01)
    raise AssertionError("did not happen in 10 s")


def test_closing_twice_is_once_and_after_it_nothing_is_taken(opened, frame):
    opened.put(frame(0), 0)
    first = opened.close("complete")
    assert opened.close("aborted") is first
    first.result(10)
    assert not opened.put(frame(1), 0)
    assert opened.truncate(0, 1).result(1) == 0
    with h5py.File(opened.path) as file:
        assert file[DATA].shape[0] == 1


def test_a_file_without_frames_is_removed(opened):
    opened.close("aborted").result(10)
    assert not opened.path.exists()


def test_a_directory_that_is_gone_is_told_at_once(tmp_path, record):
    sink = FrameSink(tmp_path / "gone" / "f.h5", record)
    with pytest.raises(DataDirectoryError, match="does not exist"):
        sink.open().result(10)


def test_an_existing_file_stays_as_it_is(tmp_path, record):
    path = tmp_path / "f.h5"
    path.write_bytes(b"mine")
    with pytest.raises(DataDirectoryError):
        FrameSink(path, record).open().result(10)
    assert path.read_bytes() == b"mine"


def test_a_failed_creation_leaves_no_file(tmp_path, record, monkeypatch):
    monkeypatch.setattr(FrameFile, "_create", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(DataDirectoryError, match="no"):
        FrameSink(tmp_path / "f.h5", record).open().result(10)
    assert not (tmp_path / "f.h5").exists()


@pytest.mark.parametrize("broken", [False, True])
def test_hdf5_is_left_alone_once_the_file_is_said_to_be_closed(tmp_path, record, frame, monkeypatch, broken):
    """Else a process that ends at once waits for ever: for HDF5's lock, which a thread of the past holds."""
    files, left = [], []
    create = FrameFile._create

    def created(self, about):
        files.append(weakref.ref(self))
        create(self, about)

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(FrameFile, "_create", created)
    failed = threading.Event()
    sink = FrameSink(tmp_path / "f.h5", record, on_failed=lambda _error: failed.set())
    sink.open().result(10)
    if broken:
        monkeypatch.setattr(FrameFile, "append", fail)
    sink.put(frame(0), 0)
    assert not broken or failed.wait(10)
    done = sink.close("complete")
    done.add_done_callback(lambda _: left.extend(file() for file in files))
    done.result(10)
    sink._thread.join(10)
    assert left == [None]
