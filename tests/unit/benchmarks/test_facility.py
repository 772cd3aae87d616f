"""The arithmetic of the load generator, and that it notices what was lost."""

import threading
from pathlib import Path

import event_model
import h5py
import httpx
import numpy as np
import pytest
from benchmarks._facility import _outages
from benchmarks._facility._arithmetic import Costs, Facility, delays, deliveries, exponent
from benchmarks._facility._databases import SqliteDatabases, bulk_uid
from benchmarks._facility._measure import Figures
from benchmarks._facility._recording import DATASET, Load, record
from benchmarks._facility._run import _within
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.catalog import Spool, data_layout
from rdaq_ophyd.catalog._queue import rest
from rdaq_ophyd.catalog._spoolfile import documents_of

COSTS = Costs(run=0.5, update=0.04, query=0.05, run_bytes=10_000, update_bytes=100, told_bytes=1000)


def test_a_facility_on_paper():
    wanted = Facility(rigs=50, frames=1e8, run=10_000, arrays=5, queries=10.0)
    assert wanted.runs == 10_000
    assert wanted.updates == pytest.approx(50 * 5 * deliveries(432) / 432)
    needs = wanted.needs(COSTS, load=0.5)
    assert needs.updates == pytest.approx(wanted.updates * 0.04)
    assert needs.runs == pytest.approx(10_000 / 86_400 * 0.5 * 5)
    assert needs.queries == pytest.approx(0.5)
    assert needs.cores == pytest.approx(2 * (needs.updates + needs.runs + needs.queries))
    assert needs.bytes_a_day == pytest.approx(10_000 * 10_000 * 5 + 86_400 * wanted.updates * 100)
    assert needs.redis == pytest.approx(3600 * wanted.updates * 1000)


def test_longer_runs_cost_less():
    longer, shorter = Facility(run=100_000).needs(COSTS), Facility(run=1000).needs(COSTS)
    assert longer.updates < Facility().needs(COSTS).updates < shorter.updates
    assert longer.runs == pytest.approx(shorter.runs / 100)


@pytest.mark.parametrize("length", [5.0, 20.0, 60.0, 100.0, 432.0])
def test_as_often_as_the_worker_delivers(length):
    """Counted with the worker's own rule, which looks five times a second."""
    age, count, due = 0.0, 0, 0.0
    while age < length:
        if age >= due:
            count, due = count + 1, age + rest(age)
        age += 0.01 if rest(age) else 0.2
    assert deliveries(length) == pytest.approx(count, rel=0.05)


def test_each_flush_waits_for_the_first_look_that_shows_it():
    flushed = [(10, 0.0), (20, 0.5), (30, 1.0), (40, 1.5)]
    assert delays([(20, 0.7), (30, 1.2)], flushed) == pytest.approx([0.7, 0.2, 0.2])
    assert delays([], flushed) == []
    assert delays([(40, 2.0)], flushed) == pytest.approx([2.0, 1.5, 1.0, 0.5])


@given(st.floats(0.1, 3.0), st.floats(1e-3, 1e3), st.floats(1.5, 100.0))
def test_a_power_is_found_again(power, factor, times):
    assert exponent((7.0, factor * 7.0**power), (7.0 * times, factor * (7.0 * times) ** power)) == pytest.approx(power)


@pytest.mark.parametrize("pairs", [((1, 0), (2, 1)), ((0, 1), (2, 1)), ((2, 1), (2, 3))])
def test_no_power_of_nothing(pairs):
    with pytest.raises(ValueError, match="no power"):
        exponent(*pairs)


def test_costs_are_of_one_run_and_one_update():
    from benchmarks._facility._growth import Growth

    grown = [Growth(grouped, 100, 10, 10, 3000, 500, 1.0, 0.4) for grouped in (False, True)]
    found = Figures("x", flood=(40, 800, 20.0, 8.0, 400_000), growths=grown, query_cpu=0.05)
    assert found.costs() == Costs(0.2, 0.04, 0.05, 10_000, 300, 50)
    found.filled = {100: (7000.0, 1.0), 1000: (8000.0, 2.0)}
    assert found.costs().run_bytes == 8000


def test_copies_have_uids_of_their_own(tmp_path: Path):
    assert len({bulk_uid(number) for number in range(1000)}) == 1000
    # SQLite numbers them as Python does.
    databases = SqliteDatabases(tmp_path)
    databases.change([databases.numbers.format(first=3, last=5), "CREATE TABLE t AS SELECT * FROM numbers"])
    assert databases.ask("SELECT * FROM t") == [[str(n), bulk_uid(n)] for n in (3, 4, 5)]
    changed = databases.with_values('\'{"a": {"b": 1}, "c": 2}\'', {"a.b": "'x' || 7"})
    assert databases.ask(f"SELECT {changed}") == [['{"a":{"b":"x7"},"c":2}']]
    assert databases.bytes() >= 4096


@pytest.fixture
def run(tmp_path):
    """The documents of a recorded run, and what a catalog that has it whole answers."""
    spool = Spool(data_layout(tmp_path))
    done = record(spool, "rig", 3, "u", Load(7, block=3))
    spool.close()
    assert [rows for rows, _ in done.flushed] == [3, 6, 7]
    (path,) = spool.layout.spool.glob("*.jsonl")
    documents = list(documents_of(path))
    with h5py.File(spool.layout.frames / "u.h5") as file:
        frames = file[DATASET][()]
    assert frames.shape == (7, 16, 16)
    assert (frames[:, 0, 0] == np.arange(7) + 3 * 7919).all()
    table = {"seq_num": [*range(1, 8)], "x": [row / 4 for row in range(7)]}
    metadata = {"start": documents[0][1], "stop": documents[-1][1]}
    return documents, {"metadata": metadata, "table": table, "frames": frames.tobytes()}


class Catalog:
    """Answers as it is told."""

    def __init__(self, served):
        self.served = served

    def get(self, path, **_params):
        if self.served is None:
            raise httpx.HTTPError("404")
        if path.startswith("/metadata"):
            return httpx.Response(200, json={"data": {"attributes": {"metadata": self.served["metadata"]}}})
        if path.startswith("/table"):
            return httpx.Response(200, json=self.served["table"])
        return httpx.Response(200, content=self.served["frames"])


def unlike(served, documents):
    found = _outages.Compared()
    wrong = _outages._unlike(Catalog(served), documents, found)
    assert (found.runs, found.events, found.frames) == (1, 7, 7)
    return wrong


def test_a_run_that_is_served_whole(run):
    documents, served = run
    event_model.schema_validators[event_model.DocumentNames.start].validate(documents[0][1])
    assert unlike(served, documents) == []


def test_whatever_is_lost_or_doubled_is_found(run):
    documents, served = run
    table = served["table"]
    assert unlike(None, documents) == ["it is not served: 404"]
    half = {name: values[:-1] for name, values in table.items()}
    assert "7 events were recorded, 6 others" in unlike(served | {"table": half}, documents)[0]
    twice = {name: values + values[-1:] for name, values in table.items()}
    assert "8 others are served" in unlike(served | {"table": twice}, documents)[0]
    other = table | {"x": [*table["x"][:-1], 9.0]}
    assert "7 others" in unlike(served | {"table": other}, documents)[0]
    frames = bytes(2) + served["frames"][2:]
    assert "bytes of frames" in unlike(served | {"frames": frames}, documents)[0]
    open_end = {"start": documents[0][1]}
    assert unlike(served | {"metadata": open_end}, documents) == ["its start or its stop is another"]


def test_it_gives_up():
    with pytest.raises(TimeoutError, match=r"more than 0.001 minutes"), _within(0.001):
        threading.Event().wait(20)


@pytest.mark.parametrize(
    ("words", "said"), [(["--rigs", "17"], "--rigs: 1 to 16"), (["--catalog", "5"], "--catalog: 100 to 200000")]
)
def test_the_command_is_bounded(words, said, capsys):
    from benchmarks._facility._run import main

    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err
