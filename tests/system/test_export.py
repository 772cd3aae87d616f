"""Runs leave the catalog as Parquet, Arrow and CSV, by command line and from Python, one Tiled for all."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd_async.core import (
    Array1D,
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
    init_devices,
    soft_signal_rw,
)
from ophyd_async.sim import SimBlobDetector, SimMotor

from rdaq_ophyd.catalog import EmbeddedCatalog, export
from rdaq_ophyd.cli import main
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import CatalogError, UnknownName
from rdaq_ophyd.frames import DATA, column_path, detector_record, hdf5_from_arrow

SHAPE = (8, 16)


@pytest.fixture(scope="module")
def catalog(engine, untraced, tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILED_PROFILES", str(path / "tiled-profiles"))
        with EmbeddedCatalog(path) as made:
            token = engine.subscribe(made.spool)
            made.ready()
            yield made
            engine.unsubscribe(token)


@pytest.fixture(scope="module")
def runs(engine, catalog):
    """A step scan with texts, arrays and a baseline; a fly scan; a scan of somebody else's detector."""
    paths = StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames)
    with init_devices():
        cam = SyntheticCamera(paths, width=SHAPE[1], height=SHAPE[0])
        stage = SimMotor(name="stage", instant=True)
        text = soft_signal_rw(str, 'µ, "quoted"', name="text")
        count = soft_signal_rw(int, 3, name="count")
        many = soft_signal_rw(Array1D[np.int32], np.arange(64, dtype=np.int32), name="many")
        blob = SimBlobDetector(paths, name="blob")

    @bpp.stage_decorator([cam])
    @bpp.run_decorator(md={"which": "fly"})
    def fly():
        yield from bps.prepare(cam, TriggerInfo(number_of_events=5, livetime=0.002), wait=True)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        yield from bps.collect_while_completing([cam], [cam], flush_period=0.05, stream_name="primary")

    engine(bps.mv(cam.exposure, 0.002, cam.compression, "blosc2-lz4"))
    step = bpp.baseline_wrapper(bp.scan([cam, text, count, many], stage, -1, 1, 3), [count])
    uids = {"step": engine(step, sample="gold", scan_id=7).run_start_uids[0]}
    uids["fly"] = engine(fly(), scan_id=8).run_start_uids[0]
    uids["foreign"] = engine(bp.scan([blob], stage, 0, 1, 2), scan_id=9).run_start_uids[0]
    assert catalog.wait_drained(timeout=60)
    catalog.c[uids["step"]].primary.read()  # opens connections and caches that stay
    catalog.disconnect()
    return uids


@pytest.fixture(autouse=True)
def no_idle_connections(catalog):
    yield
    catalog.disconnect()


@pytest.fixture
def rdaq(catalog, capsys):
    """Run the command; exit code, the files it printed, what it complained of."""

    def run(*words):
        code = main(["export", *words, "--data", str(catalog.layout.root)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, [Path(line) for line in out.splitlines()], err

    return run


def frame_file(catalog, uid):
    return Path(
        catalog.c[uid].primary.base["cam"].data_sources()[0].assets[0].data_uri.removeprefix("file://localhost")
    )


def test_parquet_has_every_stream_with_units_types_documents_and_where_frames_are(catalog, runs, rdaq, tmp_path):
    code, files, _ = rdaq("7", "-o", str(tmp_path / "new" / "folder"))
    assert code == 0
    assert sorted(f.name for f in files) == [f"00007-{runs['step'][:8]}-{s}.parquet" for s in ("baseline", "primary")]
    table = pa.parquet.read_table(next(f for f in files if "primary" in f.name))
    names = table.column_names
    assert names[:2] == ["seq_num", "time"]
    assert {"cam-mean", "cam_file", "cam_index", "text", "count", "many", "stage", "ts_stage"} <= set(names)
    assert "cam" not in names
    assert table["stage"].to_pylist() == [-1, 0, 1]
    assert table["text"].to_pylist() == ['µ, "quoted"'] * 3
    assert table["many"].to_pylist() == [list(range(64))] * 3
    assert [str(table.schema.field(k).type) for k in ("cam-mean", "cam-max", "cam-sum", "count")] == [
        "double", "uint32", "uint64", "int64",
    ]  # fmt: skip
    assert table.schema.field("stage").metadata[b"units"] == b"mm"
    assert table.schema.field("cam-mean").metadata[b"units"] == b"counts"
    assert table.schema.field("time").metadata[b"units"] == b"s"
    about = table.schema.metadata
    assert json.loads(about[b"start"])["sample"] == "gold"
    assert json.loads(about[b"stop"])["exit_status"] == "success"
    assert json.loads(about[b"configuration"])["cam"]["data"]["cam-compression"] == "blosc2-lz4"
    assert (about[b"run_uid"].decode(), about[b"scan_id"]) == (runs["step"], b"7")
    baseline = pa.parquet.read_table(next(f for f in files if "baseline" in f.name))
    assert baseline["count"].to_pylist() == [3, 3]

    # Tiled reads the compressed frames, and each row names its own.
    served = catalog.c[7].primary["cam"][2]
    assert served.mean() == pytest.approx(table["cam-mean"][2].as_py())
    for row in table.select(["cam_file", "cam_index", "cam-mean"]).to_pylist():
        with h5py.File(row["cam_file"]) as file:
            assert file[DATA][row["cam_index"]].mean() == pytest.approx(row["cam-mean"])
    frames = json.loads(table.schema.metadata[b"frames"])["cam"]
    assert frames == {"files": [str(frame_file(catalog, runs["step"]))], "dataset": DATA, "shape": [3, *SHAPE]}


def test_a_fly_scan_has_a_row_and_a_tensor_for_each_frame(catalog, runs, tmp_path):
    path, frames = export(catalog.c[runs["fly"]], tmp_path, to="arrow", frames=True)
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table["seq_num"].to_pylist() == [1, 2, 3, 4, 5]
    assert table["cam_index"].to_pylist() == [0, 1, 2, 3, 4]
    with h5py.File(frame_file(catalog, runs["fly"])) as file:
        assert table["cam-sum"].to_pylist() == list(file[column_path("sum")])
    # Its frames are tensors with their scalars, and become HDF5 again.
    assert frames.name.endswith("-primary-cam.frames.arrow")
    with pa.memory_map(str(frames)) as file:
        table = pa.ipc.open_file(file).read_all()
    source = frame_file(catalog, runs["fly"])
    assert hdf5_from_arrow(frames, tmp_path / "again.h5") == 5
    with h5py.File(source) as file, h5py.File(tmp_path / "again.h5") as again:
        pixels = table["data"].combine_chunks().to_numpy_ndarray()
        assert np.array_equal(pixels, file[DATA])
        assert table["sequence_numbers"].to_pylist() == list(file[column_path("sequence_numbers")])
        assert np.array_equal(again[DATA], file[DATA])
        assert np.array_equal(again[column_path("timestamps")], file[column_path("timestamps")])
    assert detector_record(table.schema).identity.model == "Synthetic 16x8"
    assert json.loads(table.schema.metadata[b"start"])["which"] == "fly"


def test_csv_has_its_units_beside_it(runs, rdaq, tmp_path):
    code, files, _ = rdaq(runs["step"][:6], "--to", "csv", "--stream", "primary", "-o", str(tmp_path))
    assert code == 0
    assert [f.suffix for f in files] == [".csv", ".json"]
    with files[0].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["stage"]) for row in rows] == [-1, 0, 1]
    assert rows[0]["text"] == 'µ, "quoted"'
    assert json.loads(rows[2]["many"]) == list(range(64))
    about = json.loads(files[1].read_text(encoding="utf-8"))
    assert about["columns"]["stage"] == {
        "type": "double", "units": "mm", "source": "soft://stage", "object_name": "stage", "dtype_numpy": "<f8",
    }  # fmt: skip
    assert about["start"]["plan_name"] == "scan"
    assert about["scan_id"] == 7


def test_another_authors_frames_are_tensors_too(catalog, runs, tmp_path):
    files = catalog.export(-1, tmp_path, frames=True)
    frames = next(f for f in files if f.name.endswith(".frames.arrow"))
    with pa.memory_map(str(frames)) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.column_names == ["data"]
    assert table.num_rows == 2
    stored = np.asarray(catalog.c[runs["foreign"]].primary["blob"].read())
    assert np.array_equal(table["data"].combine_chunks().to_numpy_ndarray().reshape(stored.shape), stored)


def test_nothing_is_overwritten_unless_forced(rdaq, tmp_path):
    words = "7", "--stream", "baseline", "--to", "csv", "-o", str(tmp_path)
    _, files, _ = rdaq(*words)
    files[1].write_text("mine")
    code, none, err = rdaq(*words)
    assert (code, none) == (1, [])
    assert files[0].name in err
    assert "--force" in err
    assert files[1].read_text() == "mine"
    code, again, _ = rdaq(*words, "--force")
    assert (code, again) == (0, files)
    assert files[1].read_text() != "mine"


@pytest.mark.parametrize("key", ["99", "zz"])
def test_an_unknown_run_says_how_runs_are_named(rdaq, tmp_path, key):
    code, files, err = rdaq(key, "-o", str(tmp_path / "new"))
    assert (code, files) == (2, [])
    assert f"unknown run '{key}'" in err
    assert "-1 is the last run" in err
    assert not (tmp_path / "new").exists()


def test_an_unknown_stream_or_format_lists_those_there_are(catalog, rdaq, tmp_path):
    code, _, err = rdaq("7", "--stream", "secondary", "-o", str(tmp_path))
    assert code == 2
    assert "unknown stream 'secondary' → known: baseline, primary" in err
    with pytest.raises(UnknownName, match="unknown format 'xlsx'"):
        catalog.export(7, tmp_path, to="xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_named(rdaq, tmp_path):
    (tmp_path / "file").write_text("no folder")
    code, _, err = rdaq("7", "-o", str(tmp_path / "file" / "folder"))
    assert code == 1
    assert "export into another folder" in err


def test_frames_that_are_gone_are_named_and_the_table_goes_without_them(catalog, runs, rdaq, tmp_path):
    path = frame_file(catalog, runs["fly"])
    shutil.move(path, tmp_path / "away.h5")
    try:
        code, files, err = rdaq("8", "--frames", "-o", str(tmp_path / "out"))
        assert (code, files) == (1, [])
        assert str(path) in err
        assert not list((tmp_path / "out").glob("*.frames.arrow*"))
    finally:
        shutil.move(tmp_path / "away.h5", path)


def test_a_data_directory_without_a_catalog_is_not_made_one(tmp_path, capsys):
    assert main(["export", "-1", "--data", str(tmp_path / "none")]) == 1
    assert "there is no catalog" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_server_that_does_not_answer_is_told(catalog, runs, tmp_path, monkeypatch):
    import httpx

    from rdaq_ophyd.catalog import _export

    def gone(*_):
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(_export, "stream_table", gone)
    with pytest.raises(CatalogError, match="connection refused → is its server still running"):
        catalog.export(7, tmp_path)
