"""IPC files and streams of frames: straight from the lease, readable while they grow, and back into HDF5."""

import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import tracemalloc

import h5py
import numpy as np
import pyarrow as pa
import pytest

from rdaq_ophyd.errors import CameraError, DataDirectoryError, FrameReleased, FrameStreamError
from rdaq_ophyd.frames import (
    COLUMNS,
    DATA,
    ArrowSink,
    CameraIdentity,
    Compression,
    DetectorRecord,
    FrameFormat,
    FrameRecord,
    FrameRef,
    FrameSink,
    FrameStream,
    PixelFormat,
    Roi,
    column_path,
    frame_statistics,
    hdf5_from_arrow,
    read_frames,
    tensor_buffers,
)
from rdaq_ophyd.frames import _arrow_files as module
from rdaq_ophyd.frames._layout import FrameFile


def numbers(batches):
    return [n for batch in batches for n in batch.column("sequence_numbers").to_pylist()]


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_of_frames_comes_back_with_its_scalars(tmp_path, record, frame, stream):
    returned, path = [], tmp_path / "run.arrow"
    with ArrowSink(path, record, stream=stream) as sink:
        for number in range(5):
            sink.write(frame(number, returned))
            assert returned == list(range(number + 1)), "released once it is written"
        assert sink.rows == 5
    batches = list(read_frames(path))
    assert numbers(batches) == [0, 1, 2, 3, 4]
    for number, batch in enumerate(batches):
        assert (batch.column("data").to_numpy_ndarray() == number).all()
        assert batch.column("timestamps").to_pylist() == [1000.0 + number]
    with pa.memory_map(str(path)) as file:  # any Arrow program reads it
        table = (pa.ipc.open_stream if stream else pa.ipc.open_file)(file).read_all()
    assert table.num_rows == 5
    assert table.schema.names == ["data", *COLUMNS]


def test_a_released_frame_and_an_existing_file_are_refused(tmp_path, record, frame):
    path = tmp_path / "run.arrow"
    with ArrowSink(path, record) as sink:
        one = frame(0)
        sink.write(one)
        with pytest.raises(FrameReleased):
            sink.write(one)
    before = path.read_bytes()
    with pytest.raises(DataDirectoryError, match="exists already"):
        ArrowSink(path, record)
    with pytest.raises(DataDirectoryError, match="does not exist"):
        ArrowSink(tmp_path / "gone" / "run.arrow", record)
    assert path.read_bytes() == before


BIG = (512, 512)
BIG_RECORD = DetectorRecord(
    "cam", CameraIdentity("m", "m", "1"), PixelFormat.MONO16, Roi(0, 0, *BIG), FrameFormat(*BIG, "<u2")
)


def big_frame(number):
    pixels = np.full(BIG, number, "<u2")
    return FrameRecord(FrameRef(pixels, sequence=number, host_time=0.0), frame_statistics(pixels), number, 0.0)


def test_a_file_is_written_without_a_copy_of_ours(tmp_path):
    frames = [big_frame(n) for n in range(4)]
    with ArrowSink(tmp_path / "run.arrow", BIG_RECORD) as sink:
        sink.write(frames.pop())
        gc.collect()
        tracemalloc.start()
        pool = pa.total_allocated_bytes()
        try:
            while frames:
                sink.write(frames.pop(0))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < BIG[0] * BIG[1] // 4
        assert pa.total_allocated_bytes() - pool < BIG[0] * BIG[1] // 4


def test_from_arrow_into_hdf5_by_pointer(tmp_path, monkeypatch):
    """HDF5 is given addresses inside Arrow's mapped file, one a frame; the content and the camera are the same."""
    path, target = tmp_path / "run.arrow", tmp_path / "run.h5"
    with ArrowSink(path, BIG_RECORD) as sink:
        for number in range(4):
            sink.write(big_frame(number))
    given, mapped = [], []
    append = FrameFile.append

    def spy(file, records, lost):
        given.extend(r.pixels().__array_interface__["data"][0] for r in records)
        append(file, records, lost)

    def watched(source):
        for batch in read_frames(source):
            mapped.extend(buffer.address for buffer in tensor_buffers(batch.column("data")))
            yield batch

    monkeypatch.setattr(FrameFile, "append", spy)
    monkeypatch.setattr(module, "read_frames", watched)
    assert hdf5_from_arrow(path, target) == 4
    assert given == mapped
    assert len(set(given)) == 4
    with h5py.File(target) as file:
        assert [int(f[9, 9]) for f in file[DATA]] == [0, 1, 2, 3]
        assert list(file[column_path("sequence_numbers")]) == [0, 1, 2, 3]
        assert file["/entry/instrument/detector/serial_number"].asstr()[()] == "1"
        assert file["/entry/exit_status"][()] == b"complete"


def test_from_arrow_into_hdf5_compressed(tmp_path, record, frame):
    with ArrowSink(tmp_path / "run.arrow", record, stream=True) as sink:
        for number in range(12):
            sink.write(frame(number))
    assert hdf5_from_arrow(tmp_path / "run.arrow", tmp_path / "run.h5", Compression.BLOSC2_LZ4) == 12
    with h5py.File(tmp_path / "run.h5") as file:
        assert list(file[DATA][:, 0, 0]) == list(range(12))
        assert file["/entry/instrument/detector/compression"].asstr()[()] == "blosc2-lz4"


def test_what_cannot_become_hdf5_says_why(tmp_path, record, frame):
    with ArrowSink(tmp_path / "none.arrow", record):
        pass
    with pytest.raises(CameraError, match="has no frames"):
        hdf5_from_arrow(tmp_path / "none.arrow", tmp_path / "f.h5")
    with ArrowSink(tmp_path / "one.arrow", record) as sink:
        sink.write(frame(0))
    (tmp_path / "f.h5").write_bytes(b"mine")
    with pytest.raises(DataDirectoryError, match="exists already"):
        hdf5_from_arrow(tmp_path / "one.arrow", tmp_path / "f.h5")
    (tmp_path / "text").write_text("no arrow at all, but long enough to be asked")
    with pytest.raises(FrameStreamError, match="cannot be read"):
        hdf5_from_arrow(tmp_path / "text", tmp_path / "g.h5")
    assert not (tmp_path / "g.h5").exists()


def test_an_arrow_file_that_is_cut_leaves_no_half_of_an_hdf5_file(tmp_path):
    with ArrowSink(tmp_path / "run.arrow", BIG_RECORD, stream=True) as sink:
        for number in range(4):
            sink.write(big_frame(number))
    whole = (tmp_path / "run.arrow").read_bytes()
    (tmp_path / "cut.arrow").write_bytes(whole[: len(whole) * 5 // 8])
    with pytest.raises(FrameStreamError, match="cut.arrow cannot be read"):
        hdf5_from_arrow(tmp_path / "cut.arrow", tmp_path / "f.h5")
    assert not (tmp_path / "f.h5").exists()
    assert hdf5_from_arrow(tmp_path / "run.arrow", tmp_path / "f.h5") == 4


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_disk_is_named_and_what_was_written_is_readable(tmp_path, stream):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = tmp_path / "run.arrow"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(2.5 * BIG[0] * BIG[1] * 2), limit[1]))
        sink = ArrowSink(path, BIG_RECORD, stream=stream)
        for number in range(2):
            sink.write(big_frame(number))
        with pytest.raises(DataDirectoryError, match="no room left"):
            sink.write(big_frame(2))
        assert sink.rows == 2
        with pytest.raises(DataDirectoryError, match="no room left"):
            sink.close()
        sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    with pytest.raises(FrameStreamError, match="cannot be read"):
        list(read_frames(path))
    batches = read_frames(path)
    assert numbers([next(batches), next(batches)]) == [0, 1]
    batches.close()


def test_a_disk_that_is_full_from_the_start_leaves_no_file(tmp_path, record):
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
        with pytest.raises(DataDirectoryError, match="no room left"):
            ArrowSink(tmp_path / "run.arrow", record, stream=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


# -- live -------------------------------------------------------------------------------------------------------


def test_frames_are_read_as_they_are_written(tmp_path, record, frame):
    path = tmp_path / "live.arrow"
    with ArrowSink(path, record, stream=True) as sink, FrameStream(path, timeout=5) as live:
        assert live.record == record
        for number in range(3):
            with pytest.raises(FrameStreamError, match=f"no frame within 0.02 s .{number} came before"):
                live.read(timeout=0.02)
            sink.write(frame(number))
            assert numbers([live.read()]) == [number]
        sink.close()
        assert live.read() is None
        assert list(live) == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_reader_may_come_first_or_late(tmp_path, record, frame, stream):
    path, found = tmp_path / "live.arrow", []
    early = threading.Thread(target=lambda: found.extend(numbers(FrameStream(path, timeout=10))))
    early.start()
    with ArrowSink(path, record, stream=stream) as sink:
        for number in range(50):
            sink.write(frame(number))
    early.join(10)
    assert found == list(range(50))
    with FrameStream(path) as late:
        assert numbers(late) == list(range(50))


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_pipes_and_sockets_carry_frames_larger_than_their_buffers(kind):
    if kind == "pipe":
        reading, writing = os.pipe()
        ends = os.fdopen(reading, "rb"), os.fdopen(writing, "wb", buffering=0)
    else:
        here, there = socket.socketpair()
        ends = here, there.makefile("wb", buffering=0)
    found = []

    def read():
        batches = FrameStream(ends[0], timeout=10)
        found.extend(int(batch.column("data").to_numpy_ndarray()[0, -1, -1]) for batch in batches)

    reader = threading.Thread(target=read)
    reader.start()
    with ArrowSink(ends[1], BIG_RECORD) as sink:
        for number in range(10):
            sink.write(big_frame(number))
    reader.join(20)
    for end in (*ends, *([there] if kind == "socket" else [])):
        end.close()
    assert found == list(range(10))


def test_a_reader_that_went_away_is_an_error_of_the_writer_and_the_lease_is_free():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as end, pytest.raises(FrameStreamError, match="the reader went away"):
        ArrowSink(end, BIG_RECORD).write(big_frame(0))


WRITER = """
    import os, sys, signal
    sys.path.insert(0, sys.argv[2])
    import numpy as np
    from test_arrow_files import BIG_RECORD, big_frame
    from rdaq_ophyd.frames import ArrowSink
    sink = ArrowSink(sys.argv[1], BIG_RECORD, stream=True)
    for number in range(5):
        sink.write(big_frame(number))
    with open(sys.argv[1] + ".loaded", "w") as file:
        file.write(str("pandas" in sys.modules))
    os.write(sink._raw.fileno(), bytes.fromhex("ffffffff10010000") + b"half a frame")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_frames_survive_kill_9_of_their_writer_and_the_reader_is_told(tmp_path):
    path = tmp_path / "live.arrow"
    code = textwrap.dedent(WRITER)
    writer = subprocess.Popen([sys.executable, "-c", code, str(path), os.path.dirname(__file__)])
    try:
        with FrameStream(path, timeout=30) as live:
            found = [live.read() for _ in range(5)]
            assert writer.wait(30) == -signal.SIGKILL
            live._source._patience = 0.1
            with pytest.raises(FrameStreamError, match="the stream ends within frame 5"):
                live.read()
    finally:
        writer.kill()
        writer.wait(10)
    assert numbers(found) == [0, 1, 2, 3, 4]
    assert (tmp_path / "live.arrow.loaded").read_text() == "False", "pandas takes seconds at the first frame"


def test_no_writer_and_no_arrow_are_told_within_the_bound(tmp_path):
    with pytest.raises(FrameStreamError, match="was not there within 0.05 s"):
        FrameStream(tmp_path / "never.arrow", timeout=0.05)
    (tmp_path / "empty").touch()
    with pytest.raises(FrameStreamError, match="within the schema: nothing for 0.05 s"):
        FrameStream(tmp_path / "empty", timeout=0.05)
    (tmp_path / "text").write_text("this is not what it should be, by far")
    with pytest.raises(FrameStreamError, match="within the schema"):
        FrameStream(tmp_path / "text", timeout=0.05)
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as end, pytest.raises(FrameStreamError, match="within the schema"):
        FrameStream(end, timeout=0.05)


def test_the_hdf5_sink_takes_frames_of_a_live_stream(tmp_path, record, frame):
    """Arrow in, HDF5 out, both live: a recorder on another machine."""
    from rdaq_ophyd.frames import frame_records

    here, there = socket.socketpair()
    with here, there, there.makefile("wb", buffering=0) as out:
        writer = ArrowSink(out, record)
        live = FrameStream(here, timeout=5)
        sink = FrameSink(tmp_path / "f.h5", live.record)
        sink.open().result(10)
        for number in range(3):
            writer.write(frame(number))
            for one in frame_records(live.read()):
                assert sink.put(one, 0)
        sink.close("complete").result(10)
        live.close()
    with h5py.File(tmp_path / "f.h5") as file:
        assert list(file[DATA][:, 0, 0]) == [0, 1, 2]
