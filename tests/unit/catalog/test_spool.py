import os
import resource
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from event_model import compose_run

from rdaq_ophyd.catalog import Spool, data_layout
from rdaq_ophyd.catalog._lock import is_held
from rdaq_ophyd.catalog._runfile import RunFileReader
from rdaq_ophyd.errors import CatalogError, DataDirectoryError


@pytest.fixture
def spool(tmp_path):
    spool = Spool(data_layout(tmp_path / "data"))
    yield spool
    spool.close()


def a_run(points=3):
    """The documents of a step scan, as ``(name, document)``."""
    run = compose_run()
    yield "start", run.start_doc
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"source": "s", "dtype": "number", "shape": []}})
    yield "descriptor", stream.descriptor_doc
    for point in range(points):
        yield "event", stream.compose_event(data={"x": np.float64(point)}, timestamps={"x": 0.0})
    yield "stop", run.compose_stop()


def test_documents_come_back_in_order_after_a_header(spool):
    documents = list(a_run())
    for name, document in documents:
        spool(name, document)
    uid = documents[0][1]["uid"]
    reader = RunFileReader(spool.path(uid))
    assert reader.header.run == uid
    assert reader.header.version == 1
    assert [name for name, _ in reader.read()] == ["start", "descriptor", "event", "event", "event", "stop"]
    assert reader.documents == 6
    assert reader.read() == []
    assert spool.open_runs == ()


def test_interleaved_runs_go_to_their_own_files(spool):
    one, two = list(a_run()), list(a_run())
    for pair in zip(one, two, strict=True):
        for name, document in pair:
            spool(name, document)
    for documents in (one, two):
        found = RunFileReader(spool.path(documents[0][1]["uid"])).read()
        assert [document["uid"] for _, document in found] == [document["uid"] for _, document in documents]


def test_a_run_is_never_overwritten(spool):
    documents = list(a_run())
    for name, document in documents:
        spool(name, document)
    path = spool.path(documents[0][1]["uid"])
    before = path.read_bytes()
    with pytest.raises(CatalogError, match="already recorded"):
        spool(*documents[0])
    assert path.read_bytes() == before
    for folder in (spool.layout.delivered, spool.layout.interrupted):
        path = path.rename(folder / path.name)
        with pytest.raises(CatalogError, match="already recorded"):
            spool(*documents[0])


@pytest.mark.parametrize("uid", ["../escape", "", "a/b", "x" * 200, ".hidden"])
def test_a_uid_that_cannot_name_a_file_is_refused(spool, uid):
    with pytest.raises(CatalogError, match="cannot name a file"):
        spool("start", {"uid": uid, "time": 0.0})


def test_too_little_room_is_said_at_the_start_of_the_run(tmp_path):
    spool = Spool(data_layout(tmp_path), minimum_free_bytes=2**62)
    with pytest.raises(DataDirectoryError, match="MiB free"):
        spool(*next(iter(a_run())))
    assert list(spool.layout.spool.glob("*.jsonl")) == []
    spool.close()


def test_an_unwritable_data_directory_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="cannot write"):
        Spool(data_layout(tmp_path / "file" / "data"))


def test_a_spool_that_vanishes_is_said_at_the_start_of_the_run(spool):
    spool.layout.spool.rename(spool.layout.spool.with_name("gone"))
    (spool.layout.root / "spool").mkdir()
    spool.layout.spool.rmdir()
    with pytest.raises((DataDirectoryError, FileNotFoundError)):
        spool(*next(iter(a_run())))


def test_a_write_that_fails_half_way_leaves_whole_lines(spool):
    documents = iter(a_run(points=50))
    start = next(documents)
    spool(*start)
    path = spool.path(start[1]["uid"])
    good = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) + 20, hard))  # the system writes 20 bytes, then refuses
    try:
        descriptor = next(documents)
        with pytest.raises(DataDirectoryError, match="cannot write") as caught:
            spool(*descriptor)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.hint
    assert path.read_bytes() == good
    spool(*descriptor)
    assert [name for name, _ in RunFileReader(path).read()] == ["start", "descriptor"]


def test_documents_of_no_known_run_are_refused(spool):
    with pytest.raises(CatalogError, match="not open"):
        spool("stop", {"uid": "s", "run_start": "never"})
    with pytest.raises(CatalogError, match="no open run has"):
        spool("event", {"descriptor": "never"})
    with pytest.raises(CatalogError, match="0 runs are open"):
        spool("stream_resource", {"uid": "r"})
    with pytest.raises(CatalogError, match="bulk_events"):
        spool("bulk_events", {})


def test_references_of_every_kind_are_followed(spool):
    (name, start), *_, stop = a_run()
    uid = start["uid"]
    spool(name, start)
    spool("resource", {"uid": "r", "run_start": uid})
    spool("stream_resource", {"uid": "s"})  # names no run: the only open one
    spool("descriptor", {"uid": "d", "run_start": uid})
    spool("datum", {"resource": "r", "datum_id": "r/0"})
    spool("datum_page", {"resource": "r", "datum_id": ["r/1"]})
    spool("stream_datum", {"stream_resource": "s", "descriptor": "d"})
    spool("event_page", {"descriptor": "d"})
    spool(*stop)
    assert len(RunFileReader(spool.path(uid)).read()) == 9
    with pytest.raises(CatalogError, match="no open run has"):
        spool("datum", {"resource": "r", "datum_id": "r/2"})


def test_closing_says_that_no_more_comes(tmp_path, caplog):
    spool = Spool(data_layout(tmp_path))
    spool(*next(iter(a_run())))
    (owner,) = spool.layout.owners.iterdir()
    assert is_held(owner)
    spool.close()
    spool.close()
    assert not is_held(owner)
    assert "has no stop document" in caplog.text
    assert "Spool(" in repr(spool)


KILLED = """
import sys, threading
from rdaq_ophyd.catalog import Spool, data_layout
spool = Spool(data_layout(sys.argv[1]))
spool("start", {"uid": "killed", "time": 0.0})
spool("descriptor", {"uid": "d", "run_start": "killed"})
for i in range(100):
    spool("event", {"uid": str(i), "descriptor": "d", "seq_num": i})
print("written", flush=True)
threading.Event().wait()
"""


def test_what_was_taken_survives_kill_9_and_the_owner_is_known_dead(tmp_path):
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        layout = data_layout(tmp_path)
        reader = RunFileReader(layout.spool / "killed.jsonl")
        assert is_held(layout.owners / reader.header.owner)
        os.kill(process.pid, signal.SIGKILL)
    assert len(reader.read()) == 102
    assert not is_held(layout.owners / reader.header.owner)


def test_calls_from_several_threads_keep_lines_whole(spool):
    runs = [list(a_run(points=200)) for _ in range(4)]
    threads = [threading.Thread(target=lambda run=run: [spool(*pair) for pair in run]) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in runs:
        assert len(RunFileReader(spool.path(run[0][1]["uid"])).read()) == len(run)
