"""Runs made of frame files that no document tells of."""

import json
import shutil
import time

import h5py
import numpy as np
import pytest
from event_model import DocumentNames, schema_validators

from rdaq_ophyd.catalog import data_layout, rebuild
from rdaq_ophyd.catalog._from_files import record_orphans
from rdaq_ophyd.catalog._lock import ProcessLock
from rdaq_ophyd.catalog._rebuild import _queue_all, put_aside
from rdaq_ophyd.errors import CatalogError, DataDirectoryError
from rdaq_ophyd.frames import (
    CameraIdentity,
    DetectorRecord,
    FrameFormat,
    FrameRecord,
    FrameRef,
    PixelFormat,
    Roi,
    frame_statistics,
)
from rdaq_ophyd.frames._layout import FrameFile

RECORD = DetectorRecord(
    "cam", CameraIdentity("Basler", "ace", "123"), PixelFormat.MONO12, Roi(1, 2, 8, 4), FrameFormat(4, 8, "<u2")
)


def take(path, frames, exit_status):
    path.parent.mkdir(parents=True, exist_ok=True)
    file = FrameFile(path, RECORD)
    for number in range(frames):
        array = np.full((4, 8), number, "<u2")
        ref = FrameRef(array, sequence=number, host_time=time.time())
        file.append([FrameRecord(ref, frame_statistics(array), number, 0.01)], 0)
    if exit_status:
        file.finish(exit_status, 2, 0)
    file.close()


@pytest.fixture
def layout(tmp_path):
    return data_layout(tmp_path / "data").prepare()


def recorded(layout):
    """The documents of each run in the spool, as the schema wants them."""
    runs = []
    for path in sorted(layout.spool.glob("*.jsonl")):
        header, *documents = map(json.loads, path.read_text().splitlines())
        assert header["run"] == documents[0][1]["uid"] == path.stem
        for name, document in documents:
            schema_validators[DocumentNames[name]].validate(document)
        runs.append(documents)
    return runs


@pytest.mark.parametrize(
    ("status", "exit_status"),
    [("complete", "success"), ("aborted", "abort"), ("failed", "fail"), ("interrupted", "fail"), (None, "fail")],
)
def test_a_file_tells_what_it_knows(layout, status, exit_status):
    take(layout.frames / "cam" / "f.h5", 3, status)
    (line,) = record_orphans(layout)
    assert "made from the file alone" in line
    (documents,) = recorded(layout)
    named = dict(documents)
    start, stop = named["start"], named["stop"]
    about = start["rdaq_from_file"]
    assert start["plan_name"] == "from_file"
    assert start["detectors"] == ["cam"]
    assert (about["file"], about["vendor"], about["serial_number"]) == ("cam/f.h5", "Basler", "123")
    assert (about["region"], about["pixel_format"]) == ([1, 2, 8, 4], "Mono12")
    assert start["time"] <= stop["time"]
    assert stop["exit_status"] == exit_status
    assert "f.h5 alone" in stop["reason"]
    keys = named["descriptor"]["data_keys"]
    assert keys["cam"]["shape"] == [4, 8]
    assert keys["cam-mean"]["units"] == "counts"
    assert {d["indices"]["stop"] for n, d in documents if n == "stream_datum"} == {3}
    assert len([n for n, _ in documents if n == "stream_datum"]) == len(keys)


def test_the_same_file_is_recorded_once(layout):
    take(layout.frames / "f.h5", 2, "complete")
    (line,) = record_orphans(layout)
    assert list(record_orphans(layout)) == []
    (path,) = layout.spool.glob("*.jsonl")
    path.rename(layout.delivered / path.name)
    assert list(record_orphans(layout)) == []
    (layout.delivered / path.name).unlink()
    (again,) = record_orphans(layout)
    assert again == line  # the uid follows from the file


def test_empty_files_and_those_of_others_are_named(layout):
    take(layout.frames / "empty.h5", 0, "complete")
    with h5py.File(layout.frames / "theirs.h5", "w") as file:
        file["x"] = 1
    (layout.frames / "broken.h5").write_bytes(b"nothing")
    broken, empty, theirs = record_orphans(layout)
    assert "cannot be read" in broken
    assert "no run is made of it" in empty
    assert "no run is made of it" in theirs
    assert recorded(layout) == []


def test_datasets_of_other_lengths_become_streams_of_their_own(layout):
    path = layout.frames / "analog.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["rdaq_layout_version"] = 1
        file["/entry/start_time"], file["/entry/end_time"] = b"2026-01-01T00:00:00+00:00", b""
        file["/entry/instrument/detector/local_name"] = b"adc"
        for name, rows in (("volts", 6), ("amps", 6), ("blocks", 2)):
            values = np.arange(rows, dtype="f8")
            file.create_dataset(f"/entry/data/{name}", data=values, maxshape=(None,), chunks=(2,))
    list(record_orphans(layout))
    (documents,) = recorded(layout)
    streams = {d["name"]: sorted(d["data_keys"]) for n, d in documents if n == "descriptor"}
    assert streams == {"primary": ["adc-amps", "adc-volts"], "primary_1": ["adc-blocks"]}


def analog(path, **more):
    """A file as those of analog inputs were before they bore the device's name where cameras have it."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["rdaq_layout_version"] = 1
        file["/entry/start_time"], file["/entry/end_time"] = b"2026-01-01T00:00:00+00:00", b""
        for name, dtype in {"arm": "u4", **more}.items():
            file.create_dataset(f"/entry/data/{name}", data=np.zeros(3, dtype), maxshape=(None,), chunks=(2,))


def test_every_data_key_is_a_legal_one(layout):
    analog(layout.frames / "5f0c.1a.h5", **{"ai0.raw": "f8"})
    (line,) = record_orphans(layout)
    assert "made from the file alone" in line
    (documents,) = recorded(layout)
    (descriptor,) = (d for n, d in documents if n == "descriptor")
    assert {*descriptor["data_keys"]} == {"5f0c_1a-arm", "5f0c_1a-ai0_raw"}
    assert {*descriptor["object_keys"]} == {"5f0c_1a"}
    assert {d["data_key"] for n, d in documents if n == "stream_resource"} == {*descriptor["data_keys"]}


def test_a_file_that_cannot_be_made_a_run_is_named_and_the_others_become_runs(layout):
    for name in ("a.h5", "b.h5", "c.h5"):
        take(layout.frames / name, 2, "complete")
    with h5py.File(layout.frames / "b.h5", "r+", libver="latest") as file:
        file["/entry/data/mean"].attrs["units"] = 5  # the schema wants text
    first, second, third = record_orphans(layout)
    assert "made from the file alone" in first
    assert second.startswith("frames/b.h5: no run can be made of it: np.int64(5) is not valid")
    assert "\n" not in second  # a reason, no schema
    assert "made from the file alone" in third
    assert len(recorded(layout)) == 2


def test_a_file_that_is_open_somewhere_is_named(layout):
    take(layout.frames / "f.h5", 2, "complete")
    with (layout.frames / "f.h5").open("rb"):
        (line,) = record_orphans(layout)
    assert "a program has it open" in line
    (line,) = record_orphans(layout)
    assert "made from the file alone" in line


def test_a_damaged_record_keeps_no_file_out(layout):
    take(layout.frames / "f.h5", 2, "complete")
    (layout.delivered / "1.jsonl").write_text('{"rdaq_spool": 1}\n["resource", {"uid": "r"}]\nnothing\n')
    (line,) = record_orphans(layout)
    assert "made from the file alone" in line


def test_a_lost_spool_is_made_anew_only_where_files_are_asked_for(layout):
    """Nothing of the record is left: the case that ``--from-files`` is for."""
    take(layout.frames / "f.h5", 2, "complete")
    shutil.rmtree(layout.spool)
    with pytest.raises(DataDirectoryError, match=f"catalog rebuild --from-files {layout.root}"):
        next(rebuild(layout))
    assert not layout.spool.exists()
    assert "made from the file alone" in next(rebuild(layout, from_files=True))
    assert len(recorded(layout)) == 1
    with pytest.raises(DataDirectoryError, match="neither a folder 'spool' nor 'frames'"):
        next(rebuild(data_layout(layout.root / "elsewhere"), from_files=True))


def test_a_rebuild_needs_the_directory_for_itself(layout):
    for path in (layout.spool / "worker.lock", layout.catalog / "server.lock", layout.owners / "1-a"):
        lock = ProcessLock(path)
        assert lock.acquire()
        with pytest.raises(CatalogError, match="a session works in"):
            next(rebuild(layout))
        lock.release()
    with pytest.raises(DataDirectoryError, match="no data directory"):
        next(rebuild(data_layout(layout.root / "elsewhere")))


def test_old_catalogs_are_kept_beside_each_other(layout):
    assert put_aside(layout) is None
    folders = []
    for content in (b"first", b"second"):
        (layout.catalog / "catalog.db").write_bytes(content)
        (layout.catalog / "catalog.db-wal").write_bytes(b"wal")
        (layout.catalog / "arrays").mkdir()
        (layout.catalog / "api_key").write_text("key")
        folders.append(put_aside(layout))
    assert [(folder / "catalog.db").read_bytes() for folder in folders] == [b"first", b"second"]
    assert sorted(p.name for p in folders[0].iterdir()) == ["arrays", "catalog.db", "catalog.db-wal"]
    assert (layout.catalog / "api_key").exists()


def test_every_record_waits_in_the_spool_before_anything_is_taken_away(layout):
    for folder in (layout.delivered, layout.interrupted, layout.spool):
        (folder / f"{folder.name}.jsonl").write_text("{}\n")
    (layout.spool / "spool.delivery.json").write_text("{}")
    (layout.interrupted / "old.jsonl.original").write_text("kept")
    assert _queue_all(layout) == 3
    names = {path.name for path in layout.spool.iterdir() if path.is_file()}
    assert names == {"delivered.jsonl", "interrupted.jsonl", "spool.jsonl"}
    shutil.rmtree(layout.interrupted)
