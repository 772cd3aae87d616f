"""A run that grows: how often the catalog is told of it, and of which chunks."""

import math
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.catalog import _queue, data_layout
from rdaq_ophyd.catalog._consolidator import _LARGEST_CHUNK, consolidator, together
from rdaq_ophyd.catalog._hdf5_adapter import DatasetAdapter
from rdaq_ophyd.catalog._queue import QueuedRun, rest
from rdaq_ophyd.catalog._spool import Spool


@pytest.mark.parametrize(
    ("chunk", "row", "itemsize", "told"),
    [
        ((1, 2048, 2048), (2048, 2048), 2, (8, 2048, 2048)),
        ((1, 16, 16), (16, 16), 2, (131072, 16, 16)),
        ((1024,), (), 8, (8 * 2**20,)),
        ((1, 8192, 8192), (8192, 8192), 2, (1, 8192, 8192)),
        ((3, 1000, 1000), (1000, 1000), 2, (33, 1000, 1000)),
        ((1,), (0,), 2, (_LARGEST_CHUNK,)),
    ],
)
def test_chunks_that_tiled_is_told_of(chunk, row, itemsize, told):
    assert together(chunk, row, itemsize) == told


@given(st.integers(1, 5000), st.lists(st.integers(1, 3000), max_size=2), st.sampled_from([1, 2, 4, 8]))
def test_chunks_are_whole_ones_of_the_file_and_no_larger_than_need_be(rows, row, itemsize):
    told, *inner = together((rows, *row), tuple(row), itemsize)
    assert inner == row
    assert told % rows == 0
    assert told == rows or told * math.prod(row) * itemsize <= _LARGEST_CHUNK


def grown(path, rows, shape=(4, 3)):
    """What the catalog knows of a file after each row was told of by itself."""
    resource = {
        "uid": "r",
        "data_key": "cam",
        "uri": f"file://localhost{path}",
        "mimetype": "application/x-hdf5",
        "parameters": {"dataset": "data", "chunk_shape": (1, *shape), "swmr": True},
    }
    key = {"shape": list(shape), "dtype_numpy": "<u2", "external": "STREAM:"}
    made = consolidator(resource, {"data_keys": {"cam": key}})
    for row in range(rows):
        indices, numbers = {"start": row, "stop": row + 1}, {"start": row + 1, "stop": row + 2}
        made.consume_stream_datum({"stream_resource": "r", "indices": indices, "seq_nums": numbers})
    return made


def test_the_list_of_chunks_does_not_grow_with_the_rows(tmp_path):
    assert grown(tmp_path / "f.h5", 5).get_data_source().structure.chunks == ((5,), (4,), (3,))
    assert grown(tmp_path / "f.h5", 2000).get_data_source().structure.chunks == ((2000,), (4,), (3,))


def test_an_array_of_large_chunks_reads_as_it_is_in_the_file(tmp_path):
    path, values = tmp_path / "f.h5", np.arange(7 * 12, dtype="<u2").reshape(7, 4, 3)
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("data", data=values, maxshape=(None, 4, 3), chunks=(1, 4, 3))
    source = grown(path, 7).get_data_source()
    adapter = DatasetAdapter.from_catalog(source, SimpleNamespace(metadata_={}, specs=[]), **source.parameters)
    assert (adapter.read() == values).all()
    from tiled.ndslice import NDBlock, NDSlice

    assert (adapter.read_block(NDBlock(0, 0, 0), NDSlice(slice(2, 4))) == values[2:4]).all()


def test_the_older_a_run_the_rarer_it_is_delivered():
    assert rest(0.0) == rest(19.9) == 0.0
    assert rest(30.0) == pytest.approx(0.3)
    assert rest(1e6) == 0.5


def test_a_run_rests_between_deliveries_but_not_while_it_is_behind(tmp_path, monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: now, time=lambda: now)
    monkeypatch.setattr(_queue, "time", clock)
    told = []
    fake = SimpleNamespace(write=told.extend)
    monkeypatch.setattr("rdaq_ophyd.catalog._run_writer.RunDelivery", lambda *_words, **_more: fake)
    spool = Spool(data_layout(tmp_path))
    now = 1000.0
    spool("start", {"uid": "u", "time": 0.0})
    run = QueuedRun(spool.layout, spool.path("u"))
    assert run.due()
    run.advance(None)
    assert run.due()  # young: whenever the worker looks
    now += 40.0
    spool("descriptor", {"uid": "d", "run_start": "u", "name": "primary", "data_keys": {}, "time": 0.0})
    run.advance(None)
    assert not run.due()
    now += 0.39
    assert not run.due()
    now += 0.02
    assert run.due()
    assert [name for name, _ in told] == ["start", "descriptor"]
    spool.close()
