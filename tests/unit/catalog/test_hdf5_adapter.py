"""Our way of reading one dataset serves what is in the file, as Tiled's own adapter does, and leaves all else to it."""

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from bluesky_tiled_plugins.writing.consolidators import consolidator_factory as tileds
from hypothesis import given
from hypothesis import strategies as st
from tiled.adapters.hdf5 import HDF5Adapter, HDF5ArrayAdapter
from tiled.ndslice import NDBlock, NDSlice
from tiled.utils import BrokenLink

from rdaq_ophyd.catalog import data_layout
from rdaq_ophyd.catalog._consolidator import consolidator
from rdaq_ophyd.catalog._hdf5_adapter import DatasetAdapter, Stack
from rdaq_ophyd.catalog._server_config import server_config

ROWS, SHAPE = 7, (4, 3)
NODE = SimpleNamespace(metadata_={"of": "the node"}, specs=[])


def stack(path, rows=ROWS, shape=SHAPE, first=0):
    with h5py.File(path, "w", libver="latest") as file:
        values = first + np.arange(rows * np.prod(shape, dtype=int), dtype="<u2").reshape(rows, *shape)
        made = file.create_dataset("data", data=values, maxshape=(None, *shape), chunks=(1, *shape))
        made.attrs.update(units="counts", long_name=np.bytes_(b"cam"))
    return values


def source(*paths, rows=ROWS, shape=SHAPE, dtype="<u2", by=consolidator, **parameters):
    """What the catalog knows of some files of one data key."""
    key = {"shape": list(shape), "dtype_numpy": dtype, "external": "STREAM:"}
    made = None
    for path, number in zip(paths, [rows] if len(paths) == 1 else rows, strict=True):
        resource = {
            "uid": str(path),
            "data_key": "cam",
            "uri": f"file://localhost{path}",
            "mimetype": "application/x-hdf5",
            "parameters": {"dataset": "data", "chunk_shape": [1, *shape], "swmr": True, **parameters},
        }
        if made is None:
            made = by(resource, {"data_keys": {"cam": key}})
        else:
            made.update_from_stream_resource(resource)
        indices = {"start": 0, "stop": number}
        numbers = {"start": 1, "stop": number + 1}
        made.consume_stream_datum({"stream_resource": str(path), "indices": indices, "seq_nums": numbers})
    return made.get_data_source()


def opened(adapter, data_source):
    return adapter.from_catalog(data_source, NODE, **data_source.parameters)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Ours and Tiled's own, of the same dataset."""
    path = tmp_path_factory.mktemp("stack") / "f.h5"
    stack(path)
    made = source(path)
    return opened(DatasetAdapter, made), opened(HDF5Adapter, made)


@st.composite
def index(draw, size):
    """An index along one dimension, also from its end, beyond it or backwards."""
    if draw(st.booleans()):
        return draw(st.integers(-size, size - 1))
    edge = st.none() | st.integers(-size - 2, size + 2)
    return slice(draw(edge), draw(edge), draw(st.none() | st.sampled_from([1, 2, 3, -1, -2])))


@st.composite
def part(draw):
    kept = draw(st.integers(0, 3))
    found = [draw(index(size)) for size in (ROWS, *SHAPE)[:kept]]
    if draw(st.booleans()):
        found.append(...)
        found += [draw(index(size)) for size in (ROWS, *SHAPE)[draw(st.integers(kept, 3)) :]]
    return tuple(found)


@given(asked=part())
def test_every_part_is_what_numpy_gives_of_the_whole(pair, asked):
    ours, theirs = pair
    whole = np.asarray(theirs.read())
    expected = whole[asked]
    found = ours.read(NDSlice(*asked))
    assert np.shape(found) == expected.shape
    assert found.dtype == whole.dtype
    assert np.array_equal(found, expected)


def test_blocks_and_what_is_said_about_them(pair):
    ours, theirs = pair
    assert isinstance(ours._array, Stack)
    assert ours.structure() == theirs.structure()
    assert ours.metadata() == theirs.metadata() == {"of": "the node", "units": "counts", "long_name": "cam"}
    assert np.array_equal(ours.read_block(NDBlock(0, 0, 0)), theirs.read_block(NDBlock(0, 0, 0)))
    inner = NDSlice(2, slice(1, 3), 2)
    assert np.array_equal(ours.read_block(NDBlock(0, 0, 0), inner), theirs.read_block(NDBlock(0, 0, 0), inner))


def test_blocks_of_one_frame_as_older_catalogs_have_them(tmp_path):
    path = tmp_path / "f.h5"
    values = stack(path)
    made = opened(DatasetAdapter, source(path, by=tileds))
    assert made.structure().chunks == ((1,) * ROWS, (4,), (3,))
    for row in range(ROWS):
        assert np.array_equal(made.read_block(NDBlock(row, 0, 0)), values[row : row + 1])
    assert np.array_equal(made.read_block(NDBlock(2, 0, 0), NDSlice(0, slice(1, 3), 2)), values[2, 1:3, 2])


def test_no_task_is_made_for_rows_that_nobody_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("data", (10**6, *SHAPE), "<u2", chunks=(1, *SHAPE), fillvalue=3)
    monkeypatch.setattr(HDF5ArrayAdapter, "lazy_load_hdf5_array", None)
    made = opened(DatasetAdapter, source(path, rows=10**6))
    assert made.read(NDSlice(-1)).tolist() == [[3] * 3] * 4


def test_a_file_that_grows_shows_the_rows_that_were_told_of(tmp_path):
    path = tmp_path / "f.h5"
    values = stack(path)
    with h5py.File(path, "r+", libver="latest") as file:
        file.swmr_mode = True
        made = opened(DatasetAdapter, source(path, rows=ROWS - 2))
        file["data"].resize(ROWS + 5, axis=0)
        file["data"].flush()
        assert isinstance(made._array, Stack)
        assert np.array_equal(made.read(), values[:-2])
        assert np.array_equal(made.read(NDSlice(-1)), values[-3])
        assert np.array_equal(made.read(NDSlice(slice(None, None, -2))), values[:-2][::-2])


def test_columns(tmp_path):
    path = tmp_path / "f.h5"
    values = stack(path, shape=())
    made = opened(DatasetAdapter, source(path, shape=()))
    assert isinstance(made._array, Stack)
    assert np.array_equal(made.read(), values)
    assert made.read(NDSlice(3)) == values[3]


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Three files of one key, each with a row that no document tells of; and the rows that are told of."""
    folder = tmp_path_factory.mktemp("files")
    told = (3, 1, 3)
    paths = [folder / f"{number}.h5" for number in range(len(told))]
    values = [stack(path, rows + 1, first=100 * n)[:-1] for n, (path, rows) in enumerate(zip(paths, told, strict=True))]
    return opened(DatasetAdapter, source(*paths, rows=told)), np.concatenate(values)


@given(asked=part())
def test_of_several_files_only_the_rows_that_are_told_of_are_joined(joined, asked):
    made, whole = joined
    assert isinstance(made._array, Stack)
    expected = whole[asked]
    found = made.read(NDSlice(*asked))
    assert np.shape(found) == expected.shape
    assert found.dtype == whole.dtype
    assert np.array_equal(found, expected)


def test_files_of_which_nobody_noted_the_rows_are_joined_by_tileds_own(tmp_path):
    paths = [tmp_path / "first.h5", tmp_path / "second.h5"]
    values = [stack(path, rows, first=100 * rows) for path, rows in zip(paths, (3, 5), strict=True)]
    made = opened(DatasetAdapter, source(*paths, rows=(3, 5), by=tileds))
    assert not isinstance(made._array, Stack)
    assert np.array_equal(made.read(), np.concatenate(values))


@pytest.mark.parametrize("parameters", [{"slice": ":3"}, {"squeeze": True}])
def test_what_is_asked_for_besides_is_done_by_tileds_own(tmp_path, parameters):
    stack(tmp_path / "f.h5")
    made = source(tmp_path / "f.h5", rows=3 if "slice" in parameters else ROWS, **parameters)
    assert not isinstance(opened(DatasetAdapter, made)._array, Stack)
    assert np.array_equal(opened(DatasetAdapter, made).read(), opened(HDF5Adapter, made).read())


@pytest.mark.parametrize("wrong", [{"rows": ROWS + 1}, {"shape": (3, 4)}, {"dtype": "<u4"}])
def test_a_file_that_is_not_as_described_is_left_to_tileds_own(tmp_path, wrong):
    stack(tmp_path / "f.h5")
    made = source(tmp_path / "f.h5", **wrong)
    said = []
    for adapter in (DatasetAdapter, HDF5Adapter):
        try:
            said.append(opened(adapter, made).read().tolist())
        except Exception as error:  # noqa: BLE001  whatever it is, it is the same
            said.append((type(error), str(error)))
    assert said[0] == said[1]


def test_a_file_that_is_gone_and_a_dataset_that_never_was(tmp_path):
    with pytest.raises(FileNotFoundError):
        opened(DatasetAdapter, source(tmp_path / "f.h5"))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["data"] = h5py.SoftLink("/nowhere")
    with pytest.raises((KeyError, BrokenLink)):
        opened(DatasetAdapter, source(tmp_path / "f.h5"))


def test_a_whole_file_is_a_tree_as_ever(tmp_path):
    stack(tmp_path / "f.h5")
    tree = SimpleNamespace(
        structure_family="container",
        structure=None,
        assets=[SimpleNamespace(data_uri=f"file://localhost{tmp_path / 'f.h5'}", parameter="data_uris")],
    )
    assert list(DatasetAdapter.from_catalog(tree, NODE, swmr=True)) == ["data"]


def test_the_server_uses_it(tmp_path):
    named = server_config(data_layout(tmp_path))["catalog"]["adapters_by_mimetype"]["application/x-hdf5"]
    assert named == f"{DatasetAdapter.__module__}:{DatasetAdapter.__name__}"
