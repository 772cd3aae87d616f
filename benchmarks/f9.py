"""F9: frames compressed in threads and written as chunks, against HDF5's own filter pipeline."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

import h5py
import hdf5plugin
import numpy as np

from benchmarks import Result, spread, times
from benchmarks._writers import FRAMES, NBYTES, RECORD, ROUNDS, SIZE, buffers, pipeline, race, rate, ratio, scratch
from rdaq_ophyd.frames import DATA, Compression

NAME = "F9"
TITLE = "2048² 16-bit frames, bitshuffle and LZ4, to SWMR HDF5 against HDF5's filter pipeline"
OURS = replace(RECORD, compression=Compression.BITSHUFFLE_LZ4)
BLOSC2 = replace(RECORD, compression=Compression.BLOSC2_LZ4)


def filters(path: Path) -> float:
    """The usual writer (resize, ``dset[i] = frame``, flush) through hdf5plugin's filter; seconds for all frames."""
    with h5py.File(path, "w", libver="latest") as file:
        data = file.create_dataset(
            "data",
            (0, SIZE, SIZE),
            "<u2",
            maxshape=(None, SIZE, SIZE),
            chunks=(1, SIZE, SIZE),
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        file.swmr_mode = True
        began = perf_counter()
        for i in range(FRAMES):
            data.resize(i + 1, axis=0)
            data[i] = buffers()[i % 4]
            data.flush()
        return perf_counter() - began


def share(write: Callable[[Path], float], dataset: str) -> tuple[float, bool]:
    """Size of the chunks as a share of the pixels, and whether HDF5 reads the same pixels back."""
    with scratch() as directory:
        path = directory / "frames.h5"
        write(path)
        with h5py.File(path) as file:
            size = file[dataset].id.get_storage_size() / (FRAMES * NBYTES)
            return size, all(np.array_equal(file[dataset][i], buffers()[i % 4]) for i in (0, 1, FRAMES - 1))


def measure() -> Result:
    """Write the same frames both ways, interleaved, and read them back with HDF5's filter."""
    ours: Callable[[Path], float] = partial(pipeline, record=OURS)
    blosc: Callable[[Path], float] = partial(pipeline, record=BLOSC2)
    size, same = share(ours, DATA)
    peer, _ = share(filters, "data")
    blosc_size, blosc_same = share(blosc, DATA)
    took = race({"ours": ours, "filters": filters, "blosc": blosc}, times(ROUNDS, 2))
    return Result(
        figure=rate(statistics.median(took["ours"])),
        peer=rate(statistics.median(took["filters"])),
        ratio=ratio(took, "ours", "filters"),
        goal=2.5,
        unit="MB/s",
        peer_name="hdf5plugin",
        notes=[
            f"{len(took['ours'])} rounds of {FRAMES} frames each; per frame ours "
            f"{spread(took['ours'], 'ms', 1e3 / FRAMES)}",
            f"through the filter pipeline {spread(took['filters'], 'ms', 1e3 / FRAMES)}",
            f"size of the chunks {size:.4f} of the pixels, the filter's {peer:.4f}; {os.cpu_count()} cores",
            "ours also computes and writes the seven scalars of each frame",
            f"the best round of each alone: ratio {min(took['filters']) / min(took['ours']):.2f}",
            f"blosc2-lz4, a codec with wheels for every platform: ratio {ratio(took, 'blosc', 'filters'):.2f} "
            f"at {blosc_size:.4f} of the pixels",
            "hdf5plugin's wheel is built for SSE2; ours uses AVX2: part of the ratio is that, the rest the second core "
            "and the copies that the pipeline makes",
        ],
        also={
            "the same ratio within 0.1 %": abs(size / peer - 1) < 1e-3,
            "HDF5's filters read back the same pixels": same and blosc_same,
        },
    )
