"""The worker's decisions, with a catalog that takes, refuses or vanishes on command (real Tiled: tests/fault)."""

import logging
import sys
import threading
import types

import httpx
import orjson
import pytest

from rdaq_ophyd.catalog import Spool, data_layout
from rdaq_ophyd.catalog._backlog import LineCounts, documents_behind, pending_runs
from rdaq_ophyd.catalog._stopping import Stopping
from rdaq_ophyd.catalog._worker import Worker


class Catalog:
    """Stands for Tiled's client: a dict of runs, each a list of document names."""

    def __init__(self):
        self.runs = {}
        self.order = []
        self.afresh = []
        self.down = False
        self.refuses = set()
        self.closed = 0
        self.context = types.SimpleNamespace(close=self.close)

    def close(self):
        self.closed += 1

    def connect(self):
        if self.down:
            raise ConnectionError("no server runs")
        return self


class FakeDelivery:
    def __init__(self, client, uid, *, afresh, paths=None):
        self.client, self.uid = client, uid
        client.afresh.append(afresh)
        client.runs[uid] = []
        client.order.append(uid)

    def write(self, documents):
        for name, _ in documents:
            if self.client.down:
                raise httpx.ConnectError("refused")
            if self.uid in self.client.refuses:
                raise ValueError("will not have it")
            self.client.runs[self.uid].append(name)


@pytest.fixture(autouse=True)
def catalog(monkeypatch):
    module = types.SimpleNamespace(RunDelivery=FakeDelivery)
    monkeypatch.setitem(sys.modules, "rdaq_ophyd.catalog._run_writer", module)
    return Catalog()


@pytest.fixture
def spool(tmp_path):
    spool = Spool(data_layout(tmp_path))
    yield spool
    spool.close()


@pytest.fixture
def worker(spool, catalog):
    worker = Worker(spool.layout, catalog.connect, interval=0.01)
    yield worker
    worker.close()


def begin(spool, uid):
    spool("start", {"uid": uid})
    spool("descriptor", {"uid": f"d-{uid}", "run_start": uid})


def event(spool, uid):
    spool("event", {"descriptor": f"d-{uid}", "x": 1.0})


def end(spool, uid):
    spool("stop", {"uid": f"s-{uid}", "run_start": uid})


def test_a_growing_run_is_delivered_piece_by_piece_and_put_away(spool, worker, catalog):
    begin(spool, "a")
    worker.deliver()
    assert catalog.runs == {"a": ["start", "descriptor"]}
    (pending,) = pending_runs(spool.layout)
    assert pending.delivery.documents == 2
    assert documents_behind(spool.layout) == 0
    event(spool, "a")
    assert documents_behind(spool.layout) == 1
    worker.deliver()
    worker.deliver()
    end(spool, "a")
    worker.deliver()
    assert catalog.runs == {"a": ["start", "descriptor", "event", "stop"]}
    assert pending_runs(spool.layout) == []
    assert [path.name for path in spool.layout.delivered.iterdir()] == ["a.jsonl"]
    assert list(spool.layout.spool.glob("*.delivery.json")) == []
    assert catalog.order == ["a"]


def test_after_an_outage_open_runs_begin_anew_in_their_order(spool, worker, catalog):
    for uid in ("b", "a"):
        begin(spool, uid)
    worker.deliver()
    catalog.down = True
    for uid in ("b", "a"):
        event(spool, uid)
    worker.deliver()
    assert catalog.closed == 1
    assert documents_behind(spool.layout) == 6
    worker.deliver()  # not even a connection now
    end(spool, "a")
    catalog.down = False
    catalog.order.clear()
    worker.deliver()
    assert catalog.order == ["b", "a"]
    assert catalog.runs == {"b": ["start", "descriptor", "event"], "a": ["start", "descriptor", "event", "stop"]}


@pytest.mark.parametrize("shared", [False, True])
def test_only_what_ones_own_catalog_refused_is_deleted_first(spool, worker, catalog, monkeypatch, shared):
    if shared:
        text = 'format = 1\nuri = "http://127.0.0.1:1/api/v1"\nkey_env = "RDAQ_NO_KEY"\n'
        (spool.layout.root / "catalog.toml").write_text(text)
    begin(spool, "a")
    worker.deliver()
    catalog.down = True
    event(spool, "a")
    worker.deliver()
    catalog.down = False
    worker.deliver()
    assert catalog.afresh == [False, False]  # an outage: what is there is completed
    catalog.refuses = {"a"}
    event(spool, "a")
    worker.deliver()
    catalog.refuses.clear()
    monkeypatch.setattr("rdaq_ophyd.catalog._queue.time.monotonic", lambda: float("inf"))
    worker.deliver()
    assert catalog.afresh == [False, False, not shared]


def test_a_worker_killed_before_it_puts_a_delivered_run_away_delivers_it_once_more(spool, worker, catalog, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_arguments):
        raise Killed

    begin(spool, "a")
    end(spool, "a")
    with monkeypatch.context() as patch:
        patch.setattr("rdaq_ophyd.catalog._queue.QueuedRun._put_away", killed)
        with pytest.raises(Killed):
            worker.deliver()
    after = Worker(spool.layout, catalog.connect)
    after.deliver()
    assert catalog.runs == {"a": ["start", "descriptor", "stop"]}
    assert catalog.afresh == [False, False]
    assert [path.name for path in spool.layout.delivered.iterdir()] == ["a.jsonl"]
    after.close()


def test_what_waits_is_counted_once(spool, worker):
    """The worker asks five times a second, also when gigabytes wait for the end of an outage."""
    begin(spool, "a")
    (pending,) = pending_runs(spool.layout)
    counts = LineCounts()
    assert counts.behind([(pending.path, pending.delivery)]) == 2
    size = pending.path.stat().st_size
    with pending.path.open("r+b") as file:
        file.write(b"\n" * size)  # whoever reads this again counts more
    event(spool, "a")
    assert counts.behind([(pending.path, pending.delivery)]) == 3
    with pending.path.open("r+b") as file:  # the spool takes half a line back that a full disk cut
        file.truncate(4)
    assert counts.behind([(pending.path, pending.delivery)]) == 3
    pending.path.unlink()
    assert counts.behind([(pending.path, pending.delivery)]) == 0


def test_a_refused_run_is_parked_and_the_others_go_on(spool, catalog):
    catalog.refuses.add("bad")
    for uid in ("bad", "good"):
        begin(spool, uid)
        end(spool, uid)
    worker, stopping = Worker(spool.layout, catalog.connect, interval=0.01), Stopping()
    thread = threading.Thread(target=worker.run, args=(stopping,))
    thread.start()
    try:
        for _ in range(3000):
            left = pending_runs(spool.layout)
            if [run.uid for run in left if run.delivery.parked] == ["bad"]:
                break
            stopping.wait(0.01)
    finally:
        stopping.set()
        thread.join()
    assert catalog.runs["good"] == ["start", "descriptor", "stop"]
    (bad,) = pending_runs(spool.layout)
    assert bad.delivery.attempts == 4
    assert "ValueError: will not have it" in bad.delivery.error
    status = orjson.loads((spool.layout.spool / "status.json").read_bytes())
    assert status["parked"] == ["bad"]
    assert status["behind"] == 3
    assert "will not have it" in status["error"]
    catalog.down = True
    worker.deliver()
    # the next worker tries again
    catalog.down = False
    catalog.refuses.clear()
    Worker(spool.layout, catalog.connect).deliver()
    assert pending_runs(spool.layout) == []


def test_a_parked_run_is_left_alone_in_an_outage(spool, worker, catalog, monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.catalog._worker._MOST_ATTEMPTS", 1)
    catalog.refuses.add("bad")
    for uid in ("bad", "good"):
        begin(spool, uid)
    worker.deliver()
    catalog.down = True
    event(spool, "good")
    worker.deliver()
    parked = {run.uid: run.delivery.parked for run in pending_runs(spool.layout)}
    assert parked == {"bad": True, "good": False}


def test_a_run_whose_process_died_is_delivered_and_set_aside(spool, worker, catalog):
    begin(spool, "a")
    event(spool, "a")
    with spool.path("a").open("ab") as file:
        file.write(b'["event",{"to')
    spool.close()  # as when it died: its lock is free and no stop document is there
    worker.deliver()
    worker.deliver()
    assert catalog.runs["a"] == ["start", "descriptor", "event"]
    assert [path.name for path in spool.layout.interrupted.iterdir()] == ["a.jsonl"]


def test_a_foreign_file_in_the_spool_hurts_no_run(spool, worker, catalog, monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.catalog._worker._MOST_ATTEMPTS", 1)
    (spool.layout.spool / "notes.jsonl").write_text("hello\n")
    begin(spool, "a")
    worker.deliver()
    assert catalog.runs == {"a": ["start", "descriptor"]}
    assert (
        "no file of the spool" in pending_runs(spool.layout)[0].delivery.error or len(pending_runs(spool.layout)) == 2
    )


def test_a_file_torn_before_its_first_document_is_set_aside_after_a_while(spool, worker, monkeypatch):
    torn = spool.layout.spool / "torn.jsonl"
    torn.write_bytes(b'{"rdaq_sp')
    worker.deliver()
    assert torn.exists()
    monkeypatch.setattr("rdaq_ophyd.catalog._queue._TORN_AFTER", -1)
    worker.deliver()
    assert (spool.layout.interrupted / "torn.jsonl").exists()


def test_an_outage_is_logged_once(spool, worker, catalog, caplog):
    begin(spool, "a")
    catalog.down = True
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            worker.deliver()
    assert caplog.text.count("Tiled does not answer") == 1


def test_long_runs_are_delivered_in_blocks(spool, worker, catalog, monkeypatch):
    begin(spool, "a")
    for _ in range(20_000):
        spool("event", {"descriptor": "d-a", "padding": "x" * 100})
    assert worker.deliver() is True
    assert 2 < len(catalog.runs["a"]) < 20_002
    while worker.deliver():
        pass
    assert len(catalog.runs["a"]) == 20_002
