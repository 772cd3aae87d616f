"""The writers that F6 and F7 compare: plain os.write, the usual HDF5 writer, and the frame pipeline."""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.frames import (
    CameraIdentity,
    DetectorRecord,
    FrameFormat,
    FrameRecord,
    FrameRef,
    FrameSink,
    PixelFormat,
    Roi,
    frame_array,
    frame_statistics,
)
from rdaq_ophyd.frames._room import KEEP_SIZE, fallocate

SIZE = 2048
NBYTES = SIZE * SIZE * 2
FRAMES = 96
ROUNDS = 5
PIECE = 0.02
"""Seconds between two pieces of memory that are given free."""
AHEAD = 32 << 20
"""Bytes of memory that lie free before a writer. The host takes what lies free at a time of its own: 256 MiB at once
stopped every process here for 0.1 to 0.4 s."""
RECORD = DetectorRecord(
    "camera",
    CameraIdentity("benchmark", "benchmark", "0"),
    PixelFormat.MONO16,
    Roi(0, 0, SIZE, SIZE),
    FrameFormat(SIZE, SIZE, "<u2"),
)


@cache
def buffers() -> list[NDArray[Any]]:
    """A camera's four buffers, with shot noise in them, in memory as our drivers take it; the peers write the same."""
    random = np.random.default_rng(1)
    frames = [frame_array((SIZE, SIZE), "<u2") for _ in range(4)]
    for frame in frames:
        frame[:] = random.poisson(100, (SIZE, SIZE))
    return frames


def plain(path: Path) -> float:
    """``os.write`` of the same bytes; seconds for all frames."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    began = time.perf_counter()
    for i in range(FRAMES):
        os.write(file, buffers()[i % 4])
    seconds = time.perf_counter() - began
    os.close(file)
    return seconds


def plain_ahead(path: Path) -> float:
    """The same into room that was taken on the disk before, all of it at once; nothing is left of it afterwards."""
    take = fallocate()
    if take is None:
        return plain(path)
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    began = time.perf_counter()
    if error := take(file, KEEP_SIZE, 0, FRAMES * NBYTES):
        raise OSError(error, os.strerror(error))
    for i in range(FRAMES):
        os.write(file, buffers()[i % 4])
    seconds = time.perf_counter() - began
    os.close(file)
    return seconds


def usual(path: Path) -> float:
    """Resize, ``dset[i] = frame``, flush, under SWMR; seconds for all frames."""
    with h5py.File(path, "w", libver="latest") as file:
        data = file.create_dataset("data", (0, SIZE, SIZE), "<u2", maxshape=(None, SIZE, SIZE), chunks=(1, SIZE, SIZE))
        file.swmr_mode = True
        began = time.perf_counter()
        for i in range(FRAMES):
            data.resize(i + 1, axis=0)
            data[i] = buffers()[i % 4]
            data.flush()
        return time.perf_counter() - began


def usual_all(path: Path) -> float:
    """The usual writer with the pipeline's whole job: seven scalars a frame beside the pixels."""
    names = ("time", "hardware_time", "number", "count_time", "mean", "max", "sum")
    with h5py.File(path, "w", libver="latest") as file:
        data = file.create_dataset("data", (0, SIZE, SIZE), "<u2", maxshape=(None, SIZE, SIZE), chunks=(1, SIZE, SIZE))
        columns = [file.create_dataset(name, (0,), "<f8", maxshape=(None,), chunks=(1024,)) for name in names]
        file.swmr_mode = True
        began = time.perf_counter()
        for i in range(FRAMES):
            frame = buffers()[i % 4]
            values = (time.time(), 0, i, 0.01, frame.mean(), frame.max(), frame.sum(dtype=np.uint64))
            data.resize(i + 1, axis=0)
            data[i] = frame
            data.flush()
            for column, value in zip(columns, values, strict=True):
                column.resize(i + 1, axis=0)
                column[i] = value
                column.flush()
        return time.perf_counter() - began


@cache
def ordinary() -> list[NDArray[Any]]:
    """The same frames in the memory that the C library gives, where the system is left to itself on pages of 4 KiB."""
    return [np.frombuffer(bytearray(frame.tobytes()), "<u2").reshape(frame.shape) for frame in buffers()]


def pipeline(path: Path, record: DetectorRecord = RECORD, frames: list[NDArray[Any]] | None = None) -> float:
    """Ours, from the lease to the flush that makes the last frame readable; seconds for all frames.

    This thread does what the acquisition thread does (lease, statistics, hand over); the sink's thread writes seven
    scalars with each frame.
    """
    readable, frames = threading.Event(), frames or buffers()
    sink = FrameSink(path, record, on_written=lambda rows: readable.set() if rows == FRAMES else None)
    sink.open().result()
    began = time.perf_counter()
    for i in range(FRAMES):
        ref = FrameRef(frames[i % 4], sequence=i, host_time=time.time())
        sink.put(FrameRecord(ref, frame_statistics(ref.array), i, 0.01), 0)
    if not readable.wait(120):
        raise RuntimeError("the sink did not write all frames")
    seconds = time.perf_counter() - began
    sink.close("complete").result()
    return seconds


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory on the system's temporary disk, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rdaq-bench-") as directory:
        yield Path(directory)


def warm_page_cache(directory: Path, files: int = 2) -> None:
    """Touch the memory that the next writer's pages will come from.

    :param files: of ``FRAMES`` frames each.
    """
    paths = [directory / f"warm{i}" for i in range(files)]
    for path in paths:
        plain(path)
    for path in paths:
        path.unlink()


def _written(files: Path) -> int:
    """Bytes of all frame files below a folder."""
    return sum(file.stat().st_size for file in files.rglob("*.h5"))


@contextmanager
def memory_for(files: Path, nbytes: int) -> Iterator[None]:
    """Have touched memory for a file of so many bytes that grows below ``files``.

    It is given free a little ahead of the writer. What lies free for two seconds is reported to the host, which takes
    it away (free page reporting, Linux' ``page_reporting.c``): all of it at once, in the midst of a longer flight.

    :param files: a folder; what is touched is kept beside it.
    """
    path, ended = files.parent / "touched", threading.Event()
    before = _written(files)
    with path.open("wb") as file:
        held = 0
        while held < nbytes + AHEAD:
            held += file.write(buffers()[0])

    def free() -> None:
        while not ended.wait(PIECE):
            os.truncate(path, max(0, held - (_written(files) - before) - AHEAD))

    thread = threading.Thread(target=free, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        path.unlink()


def race(writers: dict[str, Callable[[Path], float]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of each writer in each round; the order turns round, what was written before is on disk.

    Just before each turn twice its page cache is filled and given back: a virtual machine takes free memory away
    from an idle guest, and whoever touches it first pays for that (measured here: 18 ms a frame instead of 2).
    """
    times: dict[str, list[float]] = {name: [] for name in writers}
    with scratch() as directory:
        path = directory / "frames"
        for name in writers:
            writers[name](path)  # warm: imports, page tables
            path.unlink()
        for number in range(rounds):
            names = list(writers)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                os.sync()
                warm_page_cache(directory)
                times[name].append(writers[name](path))
                path.unlink()
    return times


def rate(seconds: float) -> float:
    """MB/s of pixels."""
    return FRAMES * NBYTES / 1e6 / seconds


def ratio(times: dict[str, list[float]], ours: str, peer: str) -> float:
    """How many times faster ``ours`` is than ``peer``: the median over the rounds."""
    return statistics.median(b / a for a, b in zip(times[ours], times[peer], strict=True))
