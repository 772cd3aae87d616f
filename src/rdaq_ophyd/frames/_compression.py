"""Frames compressed outside HDF5, in threads, into the very chunks that HDF5's own filters would make."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray
from ophyd_async.core import StrictEnum

from rdaq_ophyd.errors import CameraError, UnknownName

from ._lease import FrameRef

# Anything that HDF5 can write as it is: bytes, a NumPy array.
type Chunk = bytes | NDArray[Any]
type Encoder = Callable[[NDArray[Any]], Chunk]

# Bytes that bitshuffle's filter turns at a time when nobody says otherwise (BSHUF_TARGET_BLOCK_SIZE_B).
_BLOCK = 8192
# Level of each Blosc2 codec: 5 is Blosc's default; Zstandard's level 3 takes half as long again for 1 % of the size.
_BLOSC2_LEVELS = {"lz4": 5, "zstd": 1}
_MOST_WORKERS = 4


class Compression(StrictEnum):
    """How the frames of a file are compressed. All are lossless and shuffle bits first."""

    NONE = "none"
    BITSHUFFLE_LZ4 = "bitshuffle-lz4"
    BLOSC2_LZ4 = "blosc2-lz4"
    BLOSC2_ZSTD = "blosc2-zstd"


def compression_named(name: str) -> Compression:
    """The compression of that name.

    :raises UnknownName: there is none.
    """
    try:
        return Compression(name)
    except ValueError:
        raise UnknownName.among("compression", name, [c.value for c in Compression]) from None


def encoder(compression: Compression) -> Encoder | None:
    """What turns a frame into a chunk, None for none; loads the codec.

    :raises CameraError: its package is not installed, or this processor cannot run it.
    """
    if compression is Compression.NONE:
        return None
    importlib.import_module("hdf5plugin")  # without the filter no file can be made that says how to read it
    if compression is Compression.BITSHUFFLE_LZ4:
        return _bitshuffle()
    return _blosc2(compression.value.removeprefix("blosc2-"))


def filter_options(compression: Compression) -> dict[str, Any]:
    """The keywords of h5py's ``create_dataset`` that make it name the filter which undoes the compression."""
    if compression is Compression.NONE:
        return {}
    hdf5plugin = importlib.import_module("hdf5plugin")
    if compression is Compression.BITSHUFFLE_LZ4:
        return {**hdf5plugin.Bitshuffle(nelems=0, cname="lz4")}
    codec = compression.value.removeprefix("blosc2-")
    return {**hdf5plugin.Blosc2(cname=codec, clevel=_BLOSC2_LEVELS[codec], filters=hdf5plugin.Blosc2.BITSHUFFLE)}


def _bitshuffle() -> Encoder:
    """HDF5 filter 32008: eight bytes of size and four of block size, big-endian, before bitshuffle's own blocks."""
    module = _import("bitshuffle", Compression.BITSHUFFLE_LZ4)
    simd = importlib.import_module("pyarrow").runtime_info().detected_simd_level
    if module.using_AVX2() and simd not in ("avx2", "avx512"):  # its wheel would die of an illegal instruction
        raise CameraError(
            f"compression {Compression.BITSHUFFLE_LZ4.value} needs a processor with AVX2, this one has {simd}",
            hint=f"use {Compression.BLOSC2_LZ4.value}: the same method, chosen for the processor as it runs",
        )

    def encode(frame: NDArray[Any]) -> Chunk:
        blocks = module.compress_lz4(frame, _BLOCK // frame.itemsize)
        header = frame.nbytes.to_bytes(8, "big") + _BLOCK.to_bytes(4, "big")
        return b"".join((header, memoryview(blocks)))

    return encode


def _blosc2(codec: str) -> Encoder:
    """HDF5 filter 32026: a Blosc2 frame of one chunk."""
    blosc2 = _import("blosc2", Compression(f"blosc2-{codec}"))
    blosc2.set_releasegil(True)  # off by default; it holds for the whole process
    method, level, shuffle = blosc2.Codec[codec.upper()], _BLOSC2_LEVELS[codec], [blosc2.Filter.BITSHUFFLE]

    def encode(frame: NDArray[Any]) -> Chunk:
        how = blosc2.CParams(
            codec=method, clevel=level, filters=shuffle, filters_meta=[0], nthreads=1, typesize=frame.itemsize
        )
        made = blosc2.SChunk(chunksize=frame.nbytes, data=frame, cparams=how, contiguous=True)
        chunk: bytes = made.to_cframe()
        return chunk

    return encode


def _import(name: str, compression: Compression) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        others = [c.value for c in Compression if c is not compression]
        raise CameraError(
            f"compression {compression.value} needs the package {package}, which is not installed",
            hint=f"pip install 'rdaq-ophyd[compression]', or use one of {', '.join(others)}",
        ) from error


class FrameCompressor:
    """A few threads that compress frames on lease; each lease is released as soon as its frame is compressed.

    :param encode: from :func:`encoder`; must work without the GIL, else the threads gain nothing.
    :param workers: number of threads; default one a core, four at most.
    """

    def __init__(self, encode: Encoder, workers: int | None = None) -> None:
        self._encode = encode
        count = workers or min(_MOST_WORKERS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="frames-compressor")

    def submit(self, ref: FrameRef) -> Future[Chunk]:
        """Compress a frame; whoever waits for the futures in the order of the calls has the frames in order."""
        return self._pool.submit(self._compress, ref)

    def _compress(self, ref: FrameRef) -> Chunk:
        try:
            return self._encode(ref.array)
        except Exception as error:  # noqa: BLE001  it reaches the writer by the future
            # Its traceback would keep the array, and so the camera's buffer.
            raise error.with_traceback(None)  # noqa: B904  the same error
        finally:
            ref.release()

    def close(self) -> None:
        """End the threads; what was submitted is finished first."""
        self._pool.shutdown()
