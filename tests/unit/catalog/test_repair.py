"""Closing runs that a dead process left open: what the documents tell of is there, and nothing living is touched."""

import errno
import os
import shutil
import time
from types import SimpleNamespace

import h5py
import pytest
from recorders import NUMBER, STREAM, Recorder, documents, frames_file, told

from rdaq_ophyd.catalog import Spool, data_layout, hint_at_repair, repair
from rdaq_ophyd.catalog._backlog import Delivery, read_delivery, write_delivery
from rdaq_ophyd.catalog._lock import ProcessLock
from rdaq_ophyd.catalog._queue import QueuedRun
from rdaq_ophyd.catalog._repair import left_open
from rdaq_ophyd.catalog._spoolfile import read_spooled
from rdaq_ophyd.errors import CatalogError, DataDirectoryError


@pytest.fixture
def layout(tmp_path):
    return data_layout(tmp_path).prepare()


def rows_told(found):
    """Rows that the documents tell of, by stream resource."""
    told_of = {}
    for name, document in found:
        if name == "stream_datum":
            uid = document["stream_resource"]
            told_of[uid] = max(told_of.get(uid, 0), document["indices"]["stop"])
    return told_of


def test_an_open_run_gets_its_stop_document_once(layout):
    recorder = Recorder(layout, {"x": NUMBER})
    for point in range(3):
        recorder.event(point)
    path = recorder.die()
    alive = path.stat().st_mtime
    assert left_open(layout) == 1
    assert hint_at_repair(layout) == f"1 run without an end, whose process is gone → rdaq repair {layout.root}"

    before = path.read_bytes()
    (line,) = told(layout, act=False)
    assert "would be closed" in line
    assert path.read_bytes() == before

    (line,) = told(layout)
    assert line.startswith(f"run {recorder.uid}: closed: the process that recorded this run")
    name, stop = documents(layout, recorder.uid)[-1]
    assert name == "stop"
    assert stop["exit_status"] == "fail"
    assert stop["num_events"] == {"primary": 3}
    assert "kept: 3 events in primary" in stop["reason"]
    assert stop["time"] == stop["rdaq_repair"]["last_sign_of_life"] == max(alive, recorder.run.start_doc["time"])
    assert path.read_bytes().startswith(before)
    assert told(layout) == []
    assert left_open(layout) == 0
    assert hint_at_repair(layout) == ""


def test_a_run_that_the_worker_put_away_goes_back_to_be_delivered_whole(layout):
    recorder = Recorder(layout, {"x": NUMBER})
    path = recorder.die()
    path.rename(layout.interrupted / path.name)
    worker = ProcessLock(layout.spool / "worker.lock")
    assert worker.acquire()  # a session runs meanwhile
    (line,) = told(layout)
    assert "closed" in line
    assert documents(layout, recorder.uid)[-1][0] == "stop"
    assert not list(layout.interrupted.glob("*.jsonl"))
    worker.release()


def test_nothing_of_the_living_is_touched(layout):
    path = frames_file(layout, 4)
    recorder = Recorder(layout, {"a": STREAM}, path)
    recorder.rows("a", 0, 4)
    with h5py.File(path, "r+", libver="latest") as file:
        file.swmr_mode = True
        before = path.read_bytes(), recorder.spool.path(recorder.uid).read_bytes()
        lines = told(layout)
        assert (path.read_bytes(), recorder.spool.path(recorder.uid).read_bytes()) == before
    assert any("is being written, left alone" in line for line in lines)
    assert any("is being recorded, left alone" in line for line in lines)
    recorder.die()


def test_files_of_a_living_run_are_left_alone_also_when_nobody_here_has_them_open(layout, monkeypatch):
    path = frames_file(layout, 4)
    with h5py.File(path, "r+", libver="latest") as file:
        file.swmr_mode = True
        shutil.copy(path, layout.frames / "g.h5")
    recorder = Recorder(layout, {"a": STREAM}, layout.frames / "g.h5")
    assert "g.h5: is being written, left alone" in told(layout)[0]
    recorder.die()
    assert "g.h5: readable, its writer's mark is cleared" in told(layout)[0]


def test_without_proc_all_files_are_left_alone_while_anybody_records(layout, monkeypatch, tmp_path):
    monkeypatch.setattr("rdaq_ophyd.catalog._held_files._PROC", tmp_path / "none")
    path = frames_file(layout, 4)
    with h5py.File(path, "r+", libver="latest") as file:
        file.swmr_mode = True
        shutil.copy(path, layout.frames / "g.h5")
    spool = Spool(layout)
    assert "left alone" in told(layout)[0]
    spool.close()
    assert "cleared" in told(layout)[0]


def test_a_run_in_a_living_workers_hands_waits(layout):
    recorder = Recorder(layout, {"x": NUMBER})
    before = recorder.die().read_bytes()
    worker = ProcessLock(layout.spool / "worker.lock")
    assert worker.acquire()
    (line,) = told(layout)
    assert "repair it after that" in line
    assert (layout.spool / f"{recorder.uid}.jsonl").read_bytes() == before
    worker.release()
    assert "closed" in told(layout)[0]


def test_two_repairs_do_not_meet(layout):
    first = repair(layout)
    Recorder(layout, {"x": NUMBER}).die()
    next(first)
    with pytest.raises(CatalogError, match="another repair"):
        told(layout)
    first.close()
    told(layout)


def test_no_row_is_told_of_that_is_not_in_the_file(layout):
    path = frames_file(layout, 6)
    recorder = Recorder(layout, {"a": STREAM, "b": STREAM}, path)
    for start, stop in ((0, 4), (4, 8), (8, 10)):
        for key in "ab":
            recorder.rows(key, start, stop)
    recorder.die()
    (line,) = told(layout)
    assert "a, b: 6 rows kept in f.h5 (10 were told of)" in line
    found = documents(layout, recorder.uid)
    assert set(rows_told(found).values()) == {6}
    assert found[-1][1]["num_events"] == {"primary": 6}
    last = [d for n, d in found if n == "stream_datum"][-1]
    assert last["seq_nums"] == {"start": 5, "stop": 7}
    original = layout.interrupted / f"{recorder.uid}.jsonl.original"
    assert original.read_text().count("stream_datum") == 6
    assert told(layout) == []


def test_keys_of_one_stream_are_evened_out_with_what_the_file_has(layout):
    path = frames_file(layout, 12)
    recorder = Recorder(layout, {"a": STREAM, "b": STREAM}, path)
    for key, rows in (("a", (0, 4)), ("b", (0, 4)), ("a", (4, 10))):  # killed before b's second datum
        recorder.rows(key, *rows)
    recorder.die()
    (line,) = told(layout)
    assert "a: 10 rows kept in f.h5, 2 more that no document tells of" in line
    assert "b: 10 rows kept in f.h5 (4 were told of), 2 more" in line
    found = documents(layout, recorder.uid)
    assert set(rows_told(found).values()) == {10}
    added = [d for n, d in found if n == "stream_datum"][-1]
    assert added["indices"] == {"start": 4, "stop": 10}
    assert added["seq_nums"] == {"start": 5, "stop": 11}


def test_a_key_that_never_got_a_datum_gets_one(layout):
    recorder = Recorder(layout, {"a": STREAM, "b": STREAM}, frames_file(layout, 3))
    recorder.rows("a", 0, 3)
    recorder.die()
    told(layout)
    found = documents(layout, recorder.uid)
    assert list(rows_told(found).values()) == [3, 3]
    descriptors = {d["descriptor"] for n, d in found if n == "stream_datum"}
    assert len(descriptors) == 1


def test_a_frame_whose_event_never_came_is_told_and_not_claimed(layout):
    recorder = Recorder(layout, {"x": NUMBER, "a": STREAM}, frames_file(layout, 3))
    for point in range(2):
        recorder.rows("a", point, point + 1)
        recorder.event(point)
    recorder.rows("a", 2, 3)
    recorder.die()
    (line,) = told(layout)
    assert "a: 2 rows kept in f.h5 (3 were told of), 1 more that no document tells of" in line
    found = documents(layout, recorder.uid)
    assert list(rows_told(found).values()) == [2]
    assert found[-1][1]["num_events"] == {"primary": 2}


def test_events_stay_where_their_frames_are_gone(layout):
    recorder = Recorder(layout, {"x": NUMBER, "a": STREAM}, frames_file(layout, 1))
    for point in range(3):
        recorder.rows("a", point, point + 1)
        recorder.event(point)
    recorder.die()
    told(layout)
    found = documents(layout, recorder.uid)
    assert list(rows_told(found).values()) == [1]
    assert [n for n, _ in found].count("event") == 3
    assert found[-1][1]["num_events"] == {"primary": 3}


@pytest.mark.parametrize("content", [None, b"no HDF5"])
def test_a_file_that_cannot_be_looked_into_changes_no_document(layout, content):
    path = layout.frames / "gone.h5"
    if content:
        path.write_bytes(content)
    recorder = Recorder(layout, {"a": STREAM}, path)
    recorder.rows("a", 0, 5)
    recorder.die()
    (line,) = told(layout)
    assert "a: 5 rows told of, gone.h5 " + ("cannot be read" if content else "is not there") in line
    assert list(rows_told(documents(layout, recorder.uid)).values()) == [5]
    assert documents(layout, recorder.uid)[-1][1]["rdaq_repair"]["rows"][0]["readable"] == -1


def test_a_torn_line_is_cut_off_and_a_damaged_one_passed_over(layout):
    recorder = Recorder(layout, {"x": NUMBER})
    recorder.event(1)
    path = recorder.die()
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x00garbage\n" + b'["event",{"uid"')
    (line,) = told(layout)
    assert "torn (15 bytes)" in line
    assert "1 damaged line passed over" in line
    assert [name for name, _ in documents(layout, recorder.uid)] == ["start", "descriptor", "event", "stop"]
    assert (layout.interrupted / f"{recorder.uid}.jsonl.original").read_bytes().startswith(whole)


def test_a_beginning_that_is_torn_is_put_aside(layout):
    (layout.spool / "u.jsonl").write_bytes(b'{"rdaq_spool":1,"run":"u"')
    assert "not even its start document is whole (25 bytes)" in told(layout)[0]
    assert (layout.interrupted / "u.jsonl.original").exists()
    assert told(layout) == []


def test_a_file_of_another_kind_is_named_and_left(layout):
    (layout.spool / "u.jsonl").write_bytes(b"{}\n")
    (line,) = told(layout)
    assert "spool/u.jsonl: cannot be repaired" in line
    assert (layout.spool / "u.jsonl").read_bytes() == b"{}\n"


@pytest.mark.parametrize("where", ["spool", "delivered"])
def test_a_repair_that_was_cut_short_is_completed(layout, where):
    recorder = Recorder(layout, {"x": NUMBER})
    path = recorder.die()
    open_run = path.read_bytes()
    told(layout)
    left = layout.interrupted / path.name
    left.write_bytes(open_run)  # what a kill before the last step leaves
    if where == "delivered":
        path.rename(layout.delivered / path.name)
    (line,) = told(layout)
    assert "was closed by an earlier repair" in line
    assert not left.exists()
    assert told(layout) == []


def test_a_repair_that_finds_no_room_changes_nothing(layout, monkeypatch):
    recorder = Recorder(layout, {"x": NUMBER})
    path = recorder.die()
    before = path.read_bytes()

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("rdaq_ophyd.catalog._close_runs.os.fsync", full)
        (line,) = repair(layout)
    assert line.kind == "failed"
    assert "No space left" in line.text
    assert path.read_bytes() == before
    assert "closed" in told(layout)[0]
    assert told(layout) == []


@pytest.mark.parametrize("rows", [0, 4])
def test_what_was_noted_of_the_delivery_goes_and_a_catalog_of_ones_own_gets_anew_what_lost_rows(
    layout, monkeypatch, rows
):
    recorder = Recorder(layout, {"a": STREAM}, frames_file(layout, rows))
    recorder.rows("a", 0, 4)
    path = recorder.die()
    write_delivery(path, Delivery(bytes=2**20, documents=99, attempts=1, parked=True, error="e"))
    told(layout)
    assert read_delivery(path) == Delivery(afresh=rows == 0)

    asked = []
    monkeypatch.setattr(
        "rdaq_ophyd.catalog._run_writer.RunDelivery", lambda *_, **options: asked.append(options) or fake
    )
    fake = SimpleNamespace(write=list)
    QueuedRun(layout, path).fail("refused", most_attempts=1)
    assert read_delivery(path).afresh == (rows == 0)
    QueuedRun(layout, path).advance(None)  # of the next worker
    assert [options["afresh"] for options in asked] == [rows == 0]


def test_facts_of_a_run_with_pages(layout):
    recorder = Recorder(layout, {"x": NUMBER})
    page = recorder.stream.compose_event_page(
        data={"x": [1, 2]}, timestamps={"x": [1.0, 2.0]}, seq_num=[1, 2], time=[1.0, 9e9]
    )
    recorder.spool("event_page", page)
    facts = read_spooled(recorder.die())
    assert facts.events == {"primary": 2}
    assert facts.last_time == 9e9
    assert facts.last_time > time.time()


def test_a_place_that_is_no_data_directory_is_not_made_one(tmp_path):
    with pytest.raises(DataDirectoryError, match="no data directory"):
        told(data_layout(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
