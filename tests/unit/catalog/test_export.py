"""Tables out of streams, and files that are whole or not there; with a server: tests/system."""

import errno
import json
import os
import resource
import signal
import tracemalloc
from types import SimpleNamespace

import h5py
import httpx
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet
import pytest
from tiled.structures.data_source import Asset
from tiled.utils import DictView

from rdaq_ophyd.catalog import _export, _export_table, export, find_run
from rdaq_ophyd.catalog._export_files import export_error, safe, whole, write_blocks
from rdaq_ophyd.catalog._export_table import stream_table, to_json
from rdaq_ophyd.errors import CatalogError, DataDirectoryError, UnknownName
from rdaq_ophyd.frames import _arrow_hdf5


class Node:
    """A part of a stream as Tiled's client gives it."""

    def __init__(self, values, files=(), dataset="/entry/data/data", family="array"):
        self._values = values
        self.shape = getattr(values, "shape", ())
        self.dtype = getattr(values, "dtype", None)
        self.reads = []
        self.item = {"attributes": {"structure_family": family}}
        assets = [
            Asset(data_uri=f"file://localhost{path}", is_directory=False, parameter="data_uris", num=n)
            for n, path in enumerate(files)
        ]
        self._source = SimpleNamespace(
            mimetype="application/x-hdf5" if files else "application/x-zarr",
            assets=assets[::-1],
            parameters={"dataset": dataset},
        )

    def read(self):
        return self._values

    def __getitem__(self, rows):
        self.reads.append(rows)
        return self._values[rows]

    def data_sources(self):
        return [self._source]


class Stream:
    def __init__(self, parts, data_keys):
        self._parts = parts
        self.metadata = DictView({"data_keys": data_keys, "configuration": {"cam": {"data": {"x": [1, 2]}}}})

    @property
    def base(self):
        return self._parts


class Run(dict):
    metadata = DictView({"start": {"uid": "0123456789", "scan_id": 7, "list": [1, {"a": 2}]}, "stop": None})


def run_of(parts, data_keys):
    return Run(primary=Stream(parts, data_keys))


def table_of(run):
    """The whole table, and where its frames are."""
    table = stream_table(run, "primary")
    return pa.concat_tables([table.schema.empty_table(), *table.blocks()]).combine_chunks(), [*table.frames]


def internal(**columns):
    return Node(pandas.DataFrame(columns), family="table")


def test_columns_come_as_described_and_keep_their_meaning():
    keys = {
        "b": {"dtype": "integer", "dtype_numpy": "<i4", "units": "mm", "precision": 3},
        "a": {"dtype": "number", "dtype_numpy": "<f4"},
        "s": {"dtype": "string", "dtype_numpy": "|S40"},
        "on": {"dtype": "boolean", "dtype_numpy": "|b1"},
    }
    table, frames = table_of(
        run_of(
            {
                "internal": internal(
                    seq_num=[1, 2],
                    time=[1.5, 2.5],
                    ts_b=[1.0, 2.0],
                    s=["µ", None],
                    on=[0, 1],
                    a=[0.5, np.nan],
                    b=[3.0, 4.0],
                )
            },
            keys,
        ),
    )
    assert frames == []
    assert table.column_names == ["seq_num", "time", "b", "a", "s", "on", "ts_b"]
    assert [str(table.schema.field(k).type) for k in ("b", "a", "on")] == ["int32", "float", "bool"]
    assert table["on"].to_pylist() == [False, True]
    assert table["s"].to_pylist() == ["µ", None]
    assert table.schema.field("b").metadata == {b"units": b"mm", b"precision": b"3", b"dtype_numpy": b"<i4"}
    assert table.schema.metadata[b"stop"] == b"null"
    assert json.loads(table.schema.metadata[b"start"])["list"] == [1, {"a": 2}]
    assert json.loads(table.schema.metadata[b"configuration"]) == {"cam": {"data": {"x": [1, 2]}}}


def test_a_number_that_does_not_fit_its_description_stays_as_it_is():
    keys = {"n": {"dtype": "number", "dtype_numpy": "<u2"}}
    table, _ = table_of(run_of({"internal": internal(n=[0.5, 70000.0])}, keys))
    assert table["n"].to_pylist() == [0.5, 70000.0]


def test_arrays_in_events_become_lists_and_tensors():
    parts = {
        "spectrum": Node(np.arange(6, dtype=">i4").reshape(2, 3)),
        "image": Node(np.arange(8.0).reshape(2, 2, 2)),
        "names": Node(np.array([["a", "b"], ["c", "d"]])),
        "ragged": Node(SimpleNamespace(to_list=lambda: [[1], [2, 3]])),
    }
    table, frames = table_of(run_of(parts, {key: {} for key in parts}))
    assert frames == []
    assert table["spectrum"].to_pylist() == [[0, 1, 2], [3, 4, 5]]
    assert table["image"].combine_chunks().to_numpy_ndarray().tolist() == np.arange(8.0).reshape(2, 2, 2).tolist()
    assert table["names"].to_pylist() == [["a", "b"], ["c", "d"]]
    assert table["ragged"].to_pylist() == [[1], [2, 3]]
    assert table["seq_num"].to_pylist() == [1, 2]


def test_columns_of_an_interrupted_run_may_end_early():
    parts = {
        "internal": internal(seq_num=[1, 2, 3], time=[1.0, 2.0, 3.0]),
        "mean": Node(np.arange(2.0)),
        "image": Node(np.zeros((1, 2, 2))),
    }
    table, _ = table_of(run_of(parts, {}))
    assert table["mean"].to_pylist() == [0.0, 1.0, None]
    assert table["image"].null_count == 2
    assert table.num_rows == 3


@pytest.mark.parametrize("to", ["parquet", "arrow", "csv"])
def test_long_columns_are_read_and_written_a_block_at_a_time(tmp_path, monkeypatch, to):
    """A fast source of 1000 rows beside one that stopped after 700, and a spectrum in each row."""
    monkeypatch.setattr(_export_table, "_BLOCK", 8 * 7 * 300)
    (tmp_path / "f.h5").touch()
    parts = {
        "fast": Node(np.arange(1000, dtype="<i4"), [tmp_path / "f.h5"]),
        "short": Node(np.arange(700, dtype=">f8"), [tmp_path / "f.h5"]),
        "spectrum": Node(np.arange(3000, dtype="<u2").reshape(1000, 3), [tmp_path / "f.h5"]),
    }
    keys = {key: {"external": "STREAM:", "dtype": "number", "dtype_numpy": "<f8"} for key in parts}
    path = export(run_of(parts, keys), tmp_path / "out", to=to)[0]
    assert [(r.start, r.stop) for r in parts["fast"].reads] == [(0, 300), (300, 600), (600, 900), (900, 1000)]
    assert [(r.start, r.stop) for r in parts["short"].reads] == [(0, 300), (300, 600), (600, 700)]
    if to == "csv":
        found = pandas.read_csv(path)
        assert [json.loads(text) for text in found["spectrum"][-1:]] == [[2997, 2998, 2999]]
        assert found["seq_num"].tolist() == list(range(1, 1001))
        assert found["short"].isna().sum() == 300
        return
    if to == "parquet":
        table = pa.parquet.read_table(path)
    else:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
    assert table["seq_num"].to_pylist() == list(range(1, 1001))
    assert table["fast"].to_pylist() == list(range(1000))
    assert str(table.schema.field("fast").type) == "int32", "as in the file"
    assert table["short"].to_pylist() == [*range(700), *[None] * 300]
    assert table["spectrum"].to_pylist()[-1] == [2997, 2998, 2999]


@pytest.fixture
def two_files(tmp_path):
    paths = [tmp_path / "one file.h5", tmp_path / "two.h5"]
    for path, rows in zip(paths, (2, 1), strict=True):
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=np.full((rows, 2, 4), rows, "u2"))
    return paths


def camera(paths, dataset="data"):
    data_keys = {"cam": {"external": "STREAM:"}}
    return run_of({"cam": Node(np.zeros((3, 2, 4), "u2"), paths, dataset)}, data_keys)


def test_frames_in_several_files_are_told_apart(two_files):
    table, (frames,) = table_of(camera(two_files))
    assert frames.files == tuple(two_files)
    assert table["cam_file"].to_pylist() == [str(two_files[0])] * 2 + [str(two_files[1])]
    assert table["cam_index"].to_pylist() == [0, 1, 0]


def test_frames_that_no_document_tells_of_are_not_in_the_table(two_files, tmp_path):
    run = camera(two_files)
    run["primary"].base["cam"].data_sources()[0].properties = {"rdaq_rows": [1, 1]}
    table, (frames,) = table_of(run)
    assert frames.counts() == [1, 1]
    assert table["cam_file"].to_pylist() == [str(path) for path in two_files]
    files = export(run, tmp_path / "out", frames=True)
    with pa.memory_map(str(files[1])) as file:
        taken = pa.ipc.open_file(file).read_all()
    assert taken["data"].combine_chunks().to_numpy_ndarray()[:, 0, 0].tolist() == [2, 1]


def test_which_file_has_which_frame_is_left_out_when_it_cannot_be_told(two_files, caplog):
    two_files[1].unlink()
    table, (frames,) = table_of(camera(two_files))
    assert "which frame is in which file cannot be told" in caplog.text
    assert table.column_names == ["seq_num"]
    assert json.loads(table.schema.metadata[b"frames"])["cam"]["files"] == [str(p) for p in two_files]
    assert frames.shape == (3, 2, 4)


def test_frames_of_several_files_go_into_one(two_files, tmp_path):
    files = export(camera(two_files), tmp_path / "out", frames=True)
    with pa.memory_map(str(files[1])) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table["data"].combine_chunks().to_numpy_ndarray()[:, 0, 0].tolist() == [2, 2, 1]
    assert table.schema.metadata[b"run_uid"] == b"0123456789"


def test_frames_are_exported_a_block_at_a_time(tmp_path, monkeypatch):
    """24 frames of 1 MiB, 2 MiB in a block: memory never holds more than a few blocks."""
    path, shape = tmp_path / "f.h5", (24, 512, 1024)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("data", shape, "u2", chunks=(1, *shape[1:]))
        for row in range(shape[0]):
            dataset[row] = row
    monkeypatch.setattr(_arrow_hdf5, "_BLOCK", 2 << 20)
    run = run_of(
        {"cam": Node(SimpleNamespace(shape=shape, dtype=np.dtype("u2")), [path], "data")},
        {"cam": {"external": "STREAM:"}},
    )
    tracemalloc.start()
    try:
        files = export(run, tmp_path / "out", frames=True)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    with pa.memory_map(str(files[1])) as file:
        reader = pa.ipc.open_file(file)
        assert [reader.get_batch(n).num_rows for n in range(reader.num_record_batches)] == [2] * 12


def test_frames_of_different_kinds_or_in_no_file_are_refused(two_files, tmp_path):
    with h5py.File(two_files[1], "w") as file:
        file.create_dataset("data", data=np.zeros((1, 2, 5), "u2"))
    with pytest.raises(CatalogError, match="frames of different kinds"):
        export(camera(two_files), tmp_path / "out", frames=True)
    with pytest.raises(CatalogError, match="no HDF5 file"):
        export(camera([]), tmp_path / "other", frames=True)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["00007-01234567-primary.parquet"]


def test_numbers_in_a_file_that_is_gone_are_named_without_asking_the_server(tmp_path):
    run = run_of({"mean": Node(np.zeros(3), [tmp_path / "gone.h5"])}, {"mean": {"external": "STREAM:"}})
    with pytest.raises(CatalogError, match=r"mean: its file .*gone.h5 is gone"):
        stream_table(run, "primary")


def test_a_stream_of_an_old_catalog_is_refused():
    old = SimpleNamespace(item={"id": "primary"}, metadata={})
    with pytest.raises(CatalogError, match="cannot be exported"):
        stream_table({"primary": old}, "primary")


def test_documents_with_anything_in_them_become_json():
    assert json.loads(to_json(DictView({"a": np.float64(1.5), "b": np.arange(2), "c": {1}, "d": (1, 2)}))) == {
        "a": 1.5, "b": [0, 1], "c": [1], "d": [1, 2],
    }  # fmt: skip


class Catalog:
    """Looks runs up as Tiled's client does."""

    def __getitem__(self, key):
        if isinstance(key, int):
            if key == 7:
                return "seventh"
            raise KeyError(key) if key > 0 else IndexError("Index out of range")
        if key == "12345678":
            return "by uid"
        raise ValueError("too short")


def test_a_run_is_found_by_number_and_by_a_uid_of_digits_alone():
    assert find_run(Catalog(), "7") == "seventh"
    assert find_run(Catalog(), 7) == "seventh"
    assert find_run(Catalog(), "12345678") == "by uid"
    for key in (-3, "-3", "9", "abc"):
        with pytest.raises(UnknownName, match=f"unknown run '{key}'"):
            find_run(Catalog(), key)


@pytest.mark.parametrize("step", ["find", "streams"])
def test_a_server_that_went_away_is_told(step, tmp_path):
    class Gone:
        def __getitem__(self, key):
            raise httpx.ConnectError("connection refused")

        def __iter__(self):
            raise httpx.ReadTimeout("timed out")

    with pytest.raises(CatalogError, match=r"(refused|timed out) → is its server still running"):
        find_run(Gone(), 1) if step == "find" else export(Gone(), tmp_path)


# -- files ------------------------------------------------------------------------------------------------------


TABLE = pa.table({"x": pa.array(np.random.default_rng(1).random(1000)), "l": [[1, 2]] * 1000})


@pytest.mark.parametrize("to", ["parquet", "arrow", "csv"])
def test_a_full_disk_leaves_no_part_of_a_file(tmp_path, to):
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limit[1]))
        with pytest.raises(DataDirectoryError, match=r"no room left for .*t\.") as caught:
            write_blocks(TABLE.schema, [TABLE], tmp_path / f"t.{to}", to, force=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert "-o DIR" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_made_meanwhile_is_kept(tmp_path):
    path = tmp_path / "t.parquet"

    def overtaken():
        with whole(path, force=False) as part:
            part.write_text("new")
            path.write_text("mine")

    with pytest.raises(DataDirectoryError, match="has t.parquet already"):
        overtaken()
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
    assert path.read_text() == "mine"
    with whole(path, force=True) as part:
        part.write_text("new")
    assert path.read_text() == "new"


def test_an_interrupt_leaves_nothing(tmp_path):
    def interrupted():
        with whole(tmp_path / "t.csv", force=False) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.EACCES, "no"), "no permission to write"),
        (OSError(errno.EROFS, "no"), "no permission to write"),
        (OSError("Error writing. Detail: [errno 28] No space left on device"), "no room left"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    ],
)
def test_errors_of_the_disk_are_told_in_words(tmp_path, error, what):
    told = export_error(error, tmp_path / "f.parquet")
    assert what in str(told)
    assert "f.parquet" in str(told)


def test_names_of_streams_are_no_paths():
    assert safe("../a b/µ:c") == ".._a_b_c"
    assert os.sep not in safe("../..")


def test_nothing_is_written_when_one_file_exists(tmp_path, monkeypatch):
    (tmp_path / "00007-01234567-b.csv").write_text("mine")
    run = Run(a=Stream({"internal": internal(x=[1])}, {}), b=Stream({"internal": internal(x=[1])}, {}))
    with pytest.raises(DataDirectoryError, match="has 00007-01234567-b.csv already → export into another folder"):
        export(run, tmp_path, to="csv")
    assert len(list(tmp_path.iterdir())) == 1
    assert len(export(run, tmp_path, to="csv", streams=["a"])) == 2
    monkeypatch.setattr(_export, "FORMATS", ())
    with pytest.raises(UnknownName):
        export(run, tmp_path)
