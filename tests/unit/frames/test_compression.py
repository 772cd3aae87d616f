"""Compressed frames: read back by HDF5's own filters, in order, their leases given back before they are written."""

import subprocess
import sys
import threading
from importlib.util import find_spec

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import CameraError, DataDirectoryError, UnknownName
from rdaq_ophyd.frames import (
    DATA,
    CameraIdentity,
    Compression,
    DetectorRecord,
    FrameCompressor,
    FrameFormat,
    FrameRecord,
    FrameRef,
    FrameSink,
    PixelFormat,
    Roi,
    encoder,
    frame_statistics,
)
from rdaq_ophyd.frames import _compression as module

HERE = find_spec("bitshuffle") is not None
LOSSLESS = [c for c in Compression if c.value.startswith("blosc") or (HERE and c is Compression.BITSHUFFLE_LZ4)]
only_here = pytest.mark.skipif(not HERE, reason="bitshuffle is not installed: no wheel for this platform")
SHAPE = (48, 64)


def record(compression, shape=SHAPE, dtype="<u2"):
    roi = Roi(0, 0, shape[1], shape[0])
    identity = CameraIdentity("maker", "model", "42")
    pixel_format = PixelFormat.MONO16 if dtype == "<u2" else PixelFormat.MONO8
    return DetectorRecord("cam", identity, pixel_format, roi, FrameFormat(*shape, dtype), compression)


def frames(count, shape=SHAPE, dtype="<u2"):
    noise = np.random.default_rng(1).poisson(20, (count, *shape)).astype(dtype)
    noise[:, 0, 0] = np.arange(count)
    return noise


def leased(pixels, number, returned=None):
    back = None if returned is None else lambda: returned.append(number)
    ref = FrameRef(pixels, sequence=number, host_time=1000.0 + number, give_back=back)
    return FrameRecord(ref, frame_statistics(pixels), number, 0.01)


def written(path, compression, pixels):
    sink = FrameSink(path, record(compression, pixels.shape[1:], pixels.dtype.str))
    sink.open().result(10)
    for number, each in enumerate(pixels):
        assert sink.put(leased(each, number), 0)
    sink.close("complete").result(10)


@pytest.mark.parametrize("compression", LOSSLESS)
@pytest.mark.parametrize("dtype", ["<u2", "|u1"])
def test_hdf5_reads_back_every_pixel_in_order(tmp_path, compression, dtype):
    pixels = frames(20, dtype=dtype)
    written(tmp_path / "f.h5", compression, pixels)
    with h5py.File(tmp_path / "f.h5") as file:
        assert np.array_equal(file[DATA][:], pixels)
        assert file["/entry/instrument/detector/compression"].asstr()[()] == compression.value
        assert file[DATA].id.get_storage_size() < 0.9 * pixels.nbytes
        assert list(file["/entry/data/sequence_numbers"]) == list(range(20))


@pytest.mark.parametrize("compression", LOSSLESS)
def test_the_file_is_as_hdf5plugin_would_have_made_it(tmp_path, compression):
    """The same filter with the same options and no filter skipped: any reader with hdf5plugin can read it."""
    pixels = frames(2)
    written(tmp_path / "ours.h5", compression, pixels)
    options = {
        Compression.BITSHUFFLE_LZ4: lambda: hdf5plugin.Bitshuffle(cname="lz4"),
        Compression.BLOSC2_LZ4: lambda: hdf5plugin.Blosc2("lz4", 5, hdf5plugin.Blosc2.BITSHUFFLE),
        Compression.BLOSC2_ZSTD: lambda: hdf5plugin.Blosc2("zstd", 1, hdf5plugin.Blosc2.BITSHUFFLE),
    }
    with h5py.File(tmp_path / "theirs.h5", "w", libver="latest") as file:
        file.create_dataset("data", data=pixels, chunks=(1, *SHAPE), **options[compression]())
    with h5py.File(tmp_path / "ours.h5") as ours, h5py.File(tmp_path / "theirs.h5") as theirs:
        mine, other = ours[DATA].id, theirs["data"].id
        assert mine.get_create_plist().get_filter(0) == other.get_create_plist().get_filter(0)
        assert mine.get_create_plist().get_nfilters() == 1
        for row in range(2):
            assert mine.get_chunk_info(row).filter_mask == 0
        if compression is Compression.BITSHUFFLE_LZ4:
            assert mine.read_direct_chunk((0, 0, 0))[1] == other.read_direct_chunk((0, 0, 0))[1]


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    dtype=st.sampled_from(["<u2", "|u1"]),
    compression=st.sampled_from(LOSSLESS),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_and_incompressible_pixels_survive(tmp_path_factory, height, width, dtype, compression, seed):
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)
    with h5py.File.in_memory() as file:
        made = file.create_dataset(
            "data", (1, height, width), dtype, chunks=(1, height, width), **module.filter_options(compression)
        )
        made.id.write_direct_chunk((0, 0, 0), encoder(compression)(pixels))
        assert np.array_equal(made[0], pixels)


def test_none_is_no_filter_and_no_thread(tmp_path):
    assert encoder(Compression.NONE) is None
    written(tmp_path / "f.h5", Compression.NONE, frames(2))
    with h5py.File(tmp_path / "f.h5") as file:
        assert file[DATA].id.get_create_plist().get_nfilters() == 0


def test_a_lease_goes_back_before_its_frame_is_written_and_the_order_stays(tmp_path, monkeypatch):
    """The first frame takes longest to compress; the others' buffers are free long before anything is written."""
    gate, returned, pixels = threading.Event(), [], frames(6)

    def encode(frame):
        if frame[0, 0] == 0:
            assert gate.wait(10)
        return frame.tobytes()

    monkeypatch.setattr("rdaq_ophyd.frames._sink.encoder", lambda _: encode)
    monkeypatch.setattr("rdaq_ophyd.frames._sink.FrameCompressor", lambda e: FrameCompressor(e, workers=3))
    sink = FrameSink(tmp_path / "f.h5", record(Compression.NONE))
    sink.open().result(10)
    for number, each in enumerate(pixels):
        sink.put(leased(each, number, returned), 0)
    until(lambda: sorted(returned) == [1, 2, 3, 4, 5])
    with h5py.File(tmp_path / "f.h5", "r", swmr=True) as file:
        assert file["/entry/data/sequence_numbers"].shape == (0,)
    gate.set()
    sink.close("complete").result(10)
    with h5py.File(tmp_path / "f.h5") as file:
        assert list(file[DATA][:, 0, 0]) == list(range(6))


def until(condition):
    event = threading.Event()
    for _ in range(1000):
        if condition():
            return
        event.wait(0.01)
    raise AssertionError("did not happen in 10 s")


@pytest.mark.parametrize("compression", LOSSLESS)
def test_frames_discarded_by_a_pause_are_not_in_the_file_and_every_lease_goes_back(tmp_path, compression):
    returned, pixels = [], frames(30)
    sink = FrameSink(tmp_path / "f.h5", record(compression))
    sink.open().result(10)
    for number in range(15):
        sink.put(leased(pixels[number], number, returned), 0)
    kept = sink.truncate(3, generation=1).result(10)
    for number in range(15, 30):
        sink.put(leased(pixels[number], number, returned), 1)
    sink.close("complete").result(10)
    assert sorted(returned) == list(range(30))
    with h5py.File(tmp_path / "f.h5") as file:
        expected = [*range(kept), *range(15, 30)]
        assert list(file["/entry/data/sequence_numbers"]) == expected
        assert np.array_equal(file[DATA][:], pixels[expected])
        assert file["/entry/instrument/detector/discarded_frames"][()] == 15 - kept


@pytest.mark.parametrize("compression", LOSSLESS)
def test_a_reader_sees_each_frame_once_it_is_announced_also_after_rows_were_taken_back(tmp_path, compression):
    """Chunks of other sizes are written over those that a pause discarded, under the eyes of a SWMR reader."""
    rows, changed = [0], threading.Condition()

    def written(count):
        with changed:
            rows[0] = count
            changed.notify_all()

    sink = FrameSink(tmp_path / "f.h5", record(compression), on_written=written)
    sink.open().result(10)
    noise = np.random.default_rng(2).integers(0, 65535, (8, *SHAPE), "<u2")
    flat = np.stack([np.full(SHAPE, n, "<u2") for n in range(8)])
    try:
        with h5py.File(tmp_path / "f.h5", "r", swmr=True) as reader:
            for generation, (kept, block) in enumerate(((0, noise), (3, flat), (1, noise))):
                assert sink.truncate(kept, generation).result(10) == kept
                for number, each in enumerate(block):
                    sink.put(leased(each, number), generation)
                with changed:
                    assert changed.wait_for(lambda kept=kept: rows[0] == kept + 8, 10)
                reader[DATA].id.refresh()
                assert np.array_equal(reader[DATA][kept:], block)
    finally:
        sink.close("complete").result(10)


def test_a_codec_that_fails_fails_the_run_and_frees_the_buffers(tmp_path, monkeypatch):
    failed, returned = [], []

    def encode(frame):
        raise MemoryError("no memory for the codec")

    monkeypatch.setattr("rdaq_ophyd.frames._sink.encoder", lambda _: encode)
    sink = FrameSink(tmp_path / "f.h5", record(Compression.NONE), on_failed=failed.append)
    sink.open().result(10)
    sink.put(leased(frames(1)[0], 0, returned), 0)
    until(lambda: failed)
    assert isinstance(failed[0], DataDirectoryError)
    assert "no memory for the codec" in str(failed[0])
    sink.close("aborted").result(10)
    assert returned == [0]


def test_compression_lets_other_threads_run():
    """Each codec works without the GIL: else the threads would gain nothing and the event loop would stall."""
    big = np.tile(frames(1, (512, 512))[0], (32, 1))
    for compression in LOSSLESS:
        encode = encoder(compression)
        shares = []
        for _ in range(5):
            shares.append(_share_of_longest_gap(lambda encode=encode: encode(big)))
            if shares[-1] < 0.5:
                break
        assert min(shares) < 0.5, (compression, shares)


def _share_of_longest_gap(call):
    """How long this thread did not run while another one made the call, as a share of the call's time."""
    from time import perf_counter

    took = []

    def work():
        began = perf_counter()
        call()
        took.append(perf_counter() - began)

    thread = threading.Thread(target=work)
    longest, last = 0.0, perf_counter()
    thread.start()
    while not took:
        now = perf_counter()
        longest, last = max(longest, now - last), now
    thread.join()
    return longest / took[0]


def test_a_missing_package_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitshuffle", None)
    with pytest.raises(CameraError, match=r"needs the package bitshuffle") as caught:
        encoder(Compression.BITSHUFFLE_LZ4)
    assert "rdaq-ophyd[compression]" in caught.value.hint
    assert "blosc2-lz4" in caught.value.hint


@only_here
def test_a_processor_without_avx2_is_refused_before_it_dies(monkeypatch):
    import pyarrow

    class Old:
        detected_simd_level = "sse4_2"

    monkeypatch.setattr(pyarrow, "runtime_info", Old)
    with pytest.raises(CameraError, match=r"AVX2.*sse4_2 → use blosc2-lz4"):
        encoder(Compression.BITSHUFFLE_LZ4)
    assert encoder(Compression.BLOSC2_LZ4) is not None


@only_here
async def test_the_setting_of_a_camera_is_recorded_and_fixed_while_a_file_is_open(cam):
    await cam.compression.set("bitshuffle-lz4")
    assert (await cam.read_configuration())["cam-compression"]["value"] == "bitshuffle-lz4"
    assert "bitshuffle-lz4" in (await cam.describe_configuration())["cam-compression"]["choices"]
    await cam.stage()
    await cam.trigger()
    with pytest.raises(CameraError, match="unstage the camera before"):
        await cam.compression.set("none")
    path = cam._pipeline.sink.path
    await cam.unstage()
    with h5py.File(path) as file:
        assert file[DATA].shape == (1, 8, 16)
        assert file[DATA].id.get_create_plist().get_nfilters() == 1


async def test_a_profile_sets_the_first_value(paths, monkeypatch):
    with pytest.raises(UnknownName, match="unknown compression 'blosc2-lz' → did you mean blosc2-lz4"):
        SyntheticCamera(paths, "cam", compression="blosc2-lz")
    made = SyntheticCamera(paths, "cam", compression="blosc2-lz4")
    await made.connect()
    assert await made.compression.get_value() == "blosc2-lz4"
    await made.close()
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(Exception, match="blosc2"):
        await SyntheticCamera(paths, "cam", compression="blosc2-lz4").connect()


async def test_an_unknown_or_missing_compression_is_refused_at_once(cam, monkeypatch):
    with pytest.raises(ValueError, match="gzip"):
        await cam.compression.set("gzip")
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(CameraError, match="blosc2"):
        await cam.compression.set("blosc2-zstd")
    assert await cam.compression.get_value() == "none"


def test_no_codec_is_loaded_by_importing_frames():
    code = (
        "import sys, rdaq_ophyd.frames; "
        "print([m for m in ('bitshuffle', 'blosc2', 'hdf5plugin', 'pyarrow', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
