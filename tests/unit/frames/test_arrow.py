"""Frames in Arrow over the lease's own memory, and back: every copy is counted, no buffer goes back too early."""

import gc
import tracemalloc

import h5py
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.errors import CameraError, FrameReleased
from rdaq_ophyd.frames import (
    COLUMNS,
    CameraIdentity,
    DetectorRecord,
    FrameFormat,
    FrameRecord,
    FrameRef,
    PixelFormat,
    Roi,
    SyntheticDriver,
    detector_record,
    frame_batch,
    frame_records,
    frame_schema,
    frame_statistics,
    frame_tensor,
    tensor_buffers,
    write_tensors,
)

SIZE = 512
BIG = SIZE * SIZE * 2


def lease(pixels, number=7, returned=None):
    back = None if returned is None else lambda: returned.append(number)
    return FrameRef(pixels, sequence=number, host_time=1.5, hardware_time=42, camera="cam", give_back=back)


def address(array):
    return array.__array_interface__["data"][0]


def risen(work):
    """By how many bytes Python's, NumPy's and Arrow's memory rose at most during ``work``."""
    gc.collect()
    pool = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        kept = work()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return peak + max(0, pa.total_allocated_bytes() - pool), kept


def test_a_tensor_is_the_buffer_itself():
    pixels = np.arange(SIZE * SIZE, dtype="<u2").reshape(SIZE, SIZE)
    with lease(pixels) as ref:
        rose, tensor = risen(lambda: frame_tensor(ref))
        assert rose < BIG // 10
        (buffer,) = tensor_buffers(tensor)
        assert buffer.address == address(pixels)
        assert buffer.size == ref.nbytes
        assert not buffer.is_mutable
        assert tensor.type.shape == [SIZE, SIZE]
        assert np.shares_memory(tensor.to_numpy_ndarray(), pixels)
        pixels[0, 0] = 99
        assert tensor.to_numpy_ndarray()[0, 0, 0] == 99


def test_the_meter_sees_a_copy():
    pixels = np.zeros((SIZE, SIZE), "<u2")
    assert risen(lambda: pixels.copy())[0] >= BIG
    with lease(pixels) as ref:
        tensor = frame_tensor(ref)
    assert risen(lambda: pa.concat_arrays([tensor.storage, tensor.storage]))[0] >= 2 * BIG


@pytest.mark.parametrize(
    "derive",
    [
        lambda t: t,
        lambda t: t.slice(0, 1),
        lambda t: t.storage.flatten(),
        lambda t: t.to_numpy_ndarray()[0, 1:],
        lambda t: tensor_buffers(t)[0],
        lambda t: pa.table({"data": t}),
    ],
)
def test_whatever_outlives_the_lease_keeps_the_buffer(derive):
    returned = []
    pixels = np.arange(12, dtype="<u2").reshape(3, 4)
    ref = lease(pixels, returned=returned)
    tensor = frame_tensor(ref)
    derived = derive(tensor)
    ref.release()
    del tensor
    gc.collect()
    assert returned == []
    del derived
    gc.collect()
    assert returned == [7]


def test_after_the_release_there_is_no_tensor():
    ref = lease(np.zeros((3, 4), "<u2"))
    ref.release()
    with pytest.raises(FrameReleased, match="frame 7 was released"):
        frame_tensor(ref)


def test_a_camera_loses_frames_while_a_batch_keeps_its_buffers(cam_driver):
    """With its only two buffers in Arrow's hands the camera has none; it has one again when a batch is gone."""
    held = [take(cam_driver) for _ in range(2)]
    assert cam_driver.next_frame(0.2) is None
    assert held[0].to_numpy_ndarray()[0, 0, 0] != held[1].to_numpy_ndarray()[0, 0, 0]
    held.pop()
    gc.collect()
    take(cam_driver)


@pytest.fixture
def cam_driver():
    driver = SyntheticDriver(16, 8, buffers=2)
    driver.open()
    driver.start(0.0)
    yield driver
    driver.close()


def take(driver):
    for _ in range(100):
        if ref := driver.next_frame(1.0):
            with ref:
                return frame_tensor(ref)
    raise AssertionError("no frame came")


def record(shape=(3, 4), dtype="<u2"):
    pixel_format = PixelFormat.MONO12 if dtype == "<u2" else PixelFormat.MONO8
    roi = Roi(5, 6, shape[1], shape[0])
    return DetectorRecord(
        "cam", CameraIdentity("maker", "model µ", "42"), pixel_format, roi, FrameFormat(*shape, dtype)
    )


def taken(pixels, number=7):
    return FrameRecord(lease(pixels, number), frame_statistics(pixels), number, 0.25)


def test_a_batch_says_all_that_a_file_says():
    pixels = np.arange(12, dtype="<u2").reshape(3, 4)
    one = taken(pixels)
    schema = frame_schema(record())
    batch = frame_batch(one, schema)
    assert batch.schema.names == ["data", *COLUMNS]
    assert detector_record(batch.schema) == record()
    assert schema.field("timestamps").metadata[b"units"] == b"s"
    assert schema.field("data").metadata == {b"units": b"counts", b"long_name": b"cam"}
    assert batch.column("sequence_numbers").to_pylist() == [7]
    assert batch.column("hardware_timestamps").to_pylist() == [42]
    assert batch.column("mean").to_pylist() == [5.5]
    assert tensor_buffers(batch.column("data"))[0].address == address(pixels)
    one.ref.release()


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from(["<u2", "|u1"]),
    count=st.integers(1, 5),
    cut=st.data(),
)
def test_there_and_back_is_the_same_memory_and_the_same_frame(shape, dtype, count, cut):
    schema = frame_schema(record(shape, dtype))
    block = np.random.default_rng(1).integers(0, 255, (count, *shape), dtype)
    batches = [as_batch(taken(pixels, i), schema) for i, pixels in enumerate(block)]
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    first = cut.draw(st.integers(0, count - 1))
    back = frame_records(whole.slice(first))
    assert [r.sequence for r in back] == list(range(first, count))
    for number, again in enumerate(back, first):
        assert np.array_equal(again.ref.array, block[number])
        assert again.columns() == taken_columns(block[number], number)
        again.ref.release()
    (again,) = frame_records(batches[0])
    assert address(again.ref.array) == address(block[0])
    again.ref.release()


def as_batch(one, schema):
    with one.ref:
        return frame_batch(one, schema)


def taken_columns(pixels, number):
    made = taken(pixels, number)
    made.ref.release()
    return made.columns()


def test_a_frame_from_arrow_keeps_arrows_memory():
    buffer = pa.allocate_buffer(24)
    np.frombuffer(buffer, "<u2")[:] = range(12)
    before = pa.total_allocated_bytes()
    schema = frame_schema(record())
    storage = pa.FixedSizeListArray.from_arrays(pa.Array.from_buffers(pa.uint16(), 12, [None, buffer]), 12)
    pixels = pa.ExtensionArray.from_storage(schema.field("data").type, storage)
    scalars = [pa.array([0], schema.field(name).type) for name in COLUMNS]
    (again,) = frame_records(pa.record_batch([pixels, *scalars], schema=schema))
    del buffer, storage, pixels, scalars
    gc.collect()
    assert pa.total_allocated_bytes() >= before - 1
    assert again.ref.array.tolist() == np.arange(12).reshape(3, 4).tolist()
    again.ref.release()
    del again
    gc.collect()
    assert pa.total_allocated_bytes() < before


def test_an_arrow_buffer_goes_into_hdf5_by_its_own_pointer(tmp_path, monkeypatch):
    """HDF5 gets Arrow's addresses, and memory never rises by the size of a frame: no copy of ours."""
    pixels = [np.full((SIZE, SIZE), n, "<u2") for n in range(3)]
    refs = [lease(p, n) for n, p in enumerate(pixels)]
    seen = []
    with h5py.File(tmp_path / "f.h5", "w", libver="latest") as file:
        kind = {"maxshape": (None, SIZE, SIZE), "chunks": (1, SIZE, SIZE)}
        dataset = file.create_dataset("data", (0, SIZE, SIZE), "<u2", **kind)
        spied = Spy(dataset, seen)

        def write():
            for row, ref in enumerate(refs):
                write_tensors(spied, frame_tensor(ref), row)

        assert risen(write)[0] < BIG // 10
        assert seen == [address(p) for p in pixels]
        assert dataset.shape == (3, SIZE, SIZE)
        assert [int(f[-1, -1]) for f in dataset] == [0, 1, 2]
    for ref in refs:
        ref.release()


class Spy:
    """A dataset that notes the address of every chunk handed to HDF5."""

    def __init__(self, dataset, seen):
        self._dataset, self._seen = dataset, seen

    def __getattr__(self, name):
        return getattr(self._dataset, name)

    @property
    def id(self):
        return SpyId(self._dataset.id, self._seen)


class SpyId:
    def __init__(self, identifier, seen):
        self._id, self._seen = identifier, seen

    def __getattr__(self, name):
        return getattr(self._id, name)

    def write_direct_chunk(self, offsets, data):
        self._seen.append(np.frombuffer(data, np.uint8).__array_interface__["data"][0])
        self._id.write_direct_chunk(offsets, data)


def test_a_slice_of_tensors_is_written_from_within_the_block(tmp_path):
    block = np.arange(5 * 12, dtype="<u2").reshape(5, 3, 4)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(block)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        dataset = file.create_dataset("data", (9, 3, 4), "<u2", chunks=(1, 3, 4))
        write_tensors(dataset, tensors.slice(1, 3), 4)
        assert np.array_equal(dataset[4:7], block[1:4])
        assert not dataset[:4].any()


@pytest.mark.parametrize(
    "kind",
    [
        {"shape": (1, 3, 4), "dtype": "<u2", "chunks": (1, 3, 2)},
        {"shape": (1, 3, 4), "dtype": "<u4", "chunks": (1, 3, 4)},
        {"shape": (1, 3, 4), "dtype": "<u2", "chunks": (1, 3, 4), "compression": "gzip"},
        {"shape": (1, 3, 4), "dtype": "<u2"},
    ],
)
def test_a_dataset_that_cannot_take_the_bytes_as_they_are_is_refused(tmp_path, kind):
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((1, 3, 4), "<u2"))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        dataset = file.create_dataset("data", **kind)
        with pytest.raises(CameraError, match="cannot take these tensors → make it with chunks"):
            write_tensors(dataset, tensors, 0)


def test_nulls_and_foreign_schemas_are_refused():
    schema = pa.fixed_shape_tensor(pa.uint16(), (3, 4))
    with pytest.raises(CameraError, match="1 of 1 frames are null"):
        tensor_buffers(pa.array([None], schema))
    with pytest.raises(CameraError, match="version none of our layout"):
        detector_record(pa.schema([("data", schema)]))
    later = frame_schema(record()).with_metadata({b"rdaq_arrow_version": b"99"})
    with pytest.raises(CameraError, match="version 99"):
        detector_record(later)
