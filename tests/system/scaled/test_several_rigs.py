"""Several rigs at once: one loses the network, one has another clock; numbers and runs stay each rig's own."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from benchmarks._facility._measure import Size, measure
from benchmarks._facility._setups import NETWORK, embedded, shared
from benchmarks._facility._table import page
from cutproxy import CutProxy
from full import only_in_full
from scaled import Lab, until
from sharingrigs import Directory, Rig, check_run

from rdaq_ophyd.catalog.__main__ import connect
from rdaq_ophyd.catalog._backlog import pending_runs
from rdaq_ophyd.catalog._clocks import LOOKS
from rdaq_ophyd.catalog._elsewhere import Elsewhere
from rdaq_ophyd.catalog._shared import read_shared

pytestmark = [pytest.mark.usefixtures("untraced"), pytest.mark.timeout(300)]


@contextmanager
def rigs(lab: Lab, folder: Path, keys, *uris: str) -> Iterator[list[Rig]]:
    """One rig for each address."""
    mark = secrets.token_hex(3)
    made = [
        Rig(Directory(lab, folder / f"rig{number}", f"rig{number}-{mark}", uri=uri, keys=keys))
        for number, uri in enumerate(uris)
    ]
    with made[0].working(), made[1].working(), made[2].working():
        yield made


def runs_of(lab: Lab, key: str, rig: Rig) -> list[tuple[str, int]]:
    """Uid and scan number of a rig's runs, in the catalog's order."""
    condition = {"filter[eq][condition][key]": "start.rig.name", "filter[eq][condition][value]": f'"{rig.rig}"'}
    answer = httpx.get(
        f"{lab.tiled.uri}/search/", params=condition, headers={"Authorization": f"Apikey {key}"}, timeout=30
    )
    found = answer.json()["data"]
    return [(each["id"], each["attributes"]["metadata"]["start"]["scan_id"]) for each in found]


def test_one_loses_the_network_and_goes_on(lab: Lab, keys, tmp_path: Path) -> None:
    with CutProxy(f"127.0.0.1:{lab.tiled.port}") as network:
        far = lab.tiled.uri.replace(str(lab.tiled.port), network.address.rpartition(":")[2])
        with rigs(lab, tmp_path, keys, lab.tiled.uri, lab.tiled.uri, far) as (east, west, cut):
            uids = {rig: [rig.scan()] for rig in (east, west, cut)}
            until(lambda: all(rig.drained() for rig in uids), what="the first runs")
            # In the middle of a run, and for one more: nobody waits for anything.
            uids[cut].append(cut.scan(network.cut))
            uids[cut].append(cut.scan())
            for rig in (east, west):
                uids[rig].append(rig.scan())
            until(lambda: east.drained() and west.drained(), what="the runs of the others")
            assert len(pending_runs(cut.layout)) == 2
            assert [uid for uid, _ in runs_of(lab, keys[1], cut)][:1] == uids[cut][:1]
            network.mend()
            until(cut.drained, what="the runs of the one that was cut off")
            client = connect(cut.layout)
            for rig, recorded in uids.items():
                # Each rig counts for itself; in the catalog its runs stand in the order in which they were made.
                assert runs_of(lab, keys[1], rig) == [(uid, number) for number, uid in enumerate(recorded, start=1)]
                for uid in recorded:
                    check_run(client, uid)
            client.context.close()
            everyone = [uid for recorded in uids.values() for uid in recorded]
            assert len(set(everyone)) == len(everyone) == 7


def test_another_clock_is_told_once(lab: Lab, keys, tmp_path: Path, caplog, monkeypatch) -> None:
    rig = Directory(lab, tmp_path / "rig", "clock", keys=keys)
    shared = read_shared(rig.root / "catalog.toml")
    caplog.set_level(logging.WARNING)
    for pause in ("_LOOK_EVERY", "_LOOK_AGAIN"):
        monkeypatch.setattr(f"rdaq_ophyd.catalog._elsewhere.{pause}", 0.0)
    monkeypatch.setattr("rdaq_ophyd.catalog._elsewhere._PATIENCE", 60.0)
    clock = SimpleNamespace(time=lambda: 1.0e9, monotonic=iter(range(1000)).__next__)  # in 2001
    monkeypatch.setattr("rdaq_ophyd.catalog._elsewhere.time", clock)
    elsewhere = Elsewhere(shared)
    for _ in range(LOOKS):
        assert not any("clock" in record.getMessage() for record in caplog.records)
        elsewhere.keep()
    said = f"the clock of the shared catalog is {elsewhere.clocks.skew:+.0f} s from ours"
    for _ in range(2):
        elsewhere.keep()
    assert elsewhere.clocks.skew > 1e8
    assert [record.getMessage().partition(":")[0] for record in caplog.records if "clock" in record.getMessage()] == [
        said
    ]


@only_in_full
def test_the_load_generator_against_both_set_ups(lab: Lab, tmp_path: Path) -> None:
    """Short, all in this process but the servers: something is measured of everything, and nothing is lost."""
    size = Size(2, 1, 30, 30.0, 1, 1, 1, catalogs=(100,), repeats=1, requests=2, kills=[NETWORK])
    folder = tmp_path / secrets.token_hex(3)
    folder.mkdir()
    with embedded(tmp_path / "embedded", apart=False) as alone, shared(lab, folder, apart=False) as several:
        found = [measure(setup, size, logging.info) for setup in (alone, several)]
    text = page(found, size, ["a trial"])
    for one in found:
        assert one.compared.wrong == []
        assert one.failed == []
        assert one.compared.runs == 5 + 2 * len(one.outages)
        assert one.compared.frames == one.compared.events == 10 + 2 * 30 + 2 * 20 + 2 * 30 * len(one.outages)
        assert one.waits[0]
        assert one.events > 10
        assert all(one.queries[100].values())
        chunk_a_frame, larger = one.growths[1], one.growths[3]
        assert chunk_a_frame.frames == larger.frames == 100
        assert chunk_a_frame.bytes > 1.2 * larger.bytes
        assert f"- {one.name}: afterwards {one.compared.runs} runs" in text
        assert min(one.memory[-1].values()) > 0
    assert [each.what for each in found[1].outages] == [NETWORK]
    assert found[1].request[1] > 0  # CPU of the servers; a Tiled that was forked for these tests is another process
    assert "DIFFER" not in text
