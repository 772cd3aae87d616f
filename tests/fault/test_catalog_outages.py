"""Tiled down at the start, killed in mid-run; the worker killed; the session killed: no document is lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import databroker
import psutil
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from ophyd_async.sim import SimBlobDetector, SimMotor

from rdaq_ophyd.catalog import DataLayout, EmbeddedCatalog, rebuild, repair
from rdaq_ophyd.catalog._credentials import api_key, server_address
from rdaq_ophyd.catalog._tiled_profile import write_profile
from rdaq_ophyd.errors import CatalogError

POINTS = 6


# tests/system traces the catalog's processes.
pytestmark = pytest.mark.usefixtures("untraced")


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came within the bound"
        threading.Event().wait(0.02)


def record(engine: RunEngine, catalog: EmbeddedCatalog, midway: Callable[[], object] = lambda: None) -> str:
    """A step scan with frames; ``midway`` is called after half of the points. The run's uid."""
    with init_devices():
        camera = SimBlobDetector(StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames), name="camera")
        motor = SimMotor(name="stage", instant=True)

    def plan():
        yield from bps.stage(camera)
        yield from bps.open_run()
        for point in range(POINTS):
            if point == POINTS // 2:
                midway()
            yield from bps.mv(motor, float(point))
            yield from bps.trigger_and_read([camera, motor])
        yield from bps.close_run()
        yield from bps.unstage(camera)

    token = engine.subscribe(catalog.spool)
    try:
        (uid,) = engine(plan()).run_start_uids
    finally:
        engine.unsubscribe(token)
    return uid


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the process when the block ends, however it ends: it would wait for ever."""
    try:
        yield
    finally:
        process.kill()


def check(catalog: EmbeddedCatalog, uids: list[str]) -> None:
    """Each run is there once, whole, in the order in which they were recorded."""
    assert catalog.wait_drained(timeout=90)
    assert list(catalog.c) == uids
    for uid in uids:
        run = catalog.c[uid]
        assert run.metadata["stop"]["exit_status"] == "success"
        data = run.primary.read()
        assert data["stage"].values.tolist() == [float(point) for point in range(POINTS)]
        assert data["camera"].shape[0] == POINTS
    catalog.disconnect()


@pytest.mark.timeout(300)
def test_outages_of_tiled_and_of_the_worker_lose_and_double_nothing(engine: RunEngine, tmp_path: Path) -> None:
    with EmbeddedCatalog(tmp_path, profile=None) as catalog:
        uids = [record(engine, catalog)]  # neither process is up yet
        assert catalog.behind() > 0
        address = catalog.ready()
        check(catalog, uids)

        def kill_tiled() -> None:
            (live,) = catalog.spool.open_runs
            until(lambda: live in list(catalog.client))  # part of the run is in Tiled
            os.kill(catalog.server_pid, signal.SIGKILL)
            until(lambda: not catalog.serving)

        uids.append(record(engine, catalog, kill_tiled))  # the rest of the run goes on without
        assert not catalog.serving
        assert catalog.ready() == address
        check(catalog, uids)

        def kill_worker() -> None:
            (live,) = catalog.spool.open_runs
            until(lambda: live in list(catalog.client))
            os.kill(catalog.worker_pid, signal.SIGKILL)

        uids.append(record(engine, catalog, kill_worker))
        check(catalog, uids)

        uids.append(killed := repaired(catalog))
        read = {uid: reading(catalog.client, uid) for uid in (uids[0], killed)}
        assert read[killed][0]["stop"]["exit_status"] == "fail"
        assert set(read[killed][1].sizes.values()) == {read[killed][0]["stop"]["num_events"]["primary"], 48, 64}
        catalog.disconnect()
        with pytest.raises(CatalogError, match="a session works in"):
            next(rebuild(catalog.layout))
        assert catalog.close() == 0
    rebuilt(catalog.layout, uids, read)


def repaired(catalog: EmbeddedCatalog) -> str:
    """A run whose process was killed, delivered so far by this session, then repaired beside it. Its uid."""
    killable = Path(__file__).parents[1] / "lib" / "killable.py"
    command = [sys.executable, killable, catalog.layout.root, "step"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child, ended(child):
        for _ in range(3):  # points
            child.stdout.readline()
    until(lambda: list(catalog.layout.interrupted.glob("*.jsonl")))
    (path,) = catalog.layout.interrupted.glob("*.jsonl")
    assert "stop" not in catalog.client[path.stem].metadata
    assert [line.kind for line in repair(catalog.layout)] == ["changed", "changed"]
    assert catalog.wait_drained(timeout=60)
    return path.stem


def reading(client: Any, uid: str) -> tuple[dict[str, Any], Any]:
    """Everything that the catalog says about a run."""
    return dict(client[uid].metadata), client[uid].primary.read().load()


def rebuilt(layout: DataLayout, uids: list[str], before: dict[str, tuple[dict[str, Any], Any]]) -> None:
    """The database is broken; what is made anew reads as before, and the broken one is kept."""
    (layout.catalog / "catalog.db").write_bytes(b"not a database")
    lines = []
    for line in rebuild(layout, from_files=True):
        lines.append(line)
        if "are in the catalog" in line:  # Tiled is still up
            write_profile(layout, server_address(layout).uri, api_key(layout), name="rebuilt")
            client = databroker.catalog["rebuilt"]
            assert list(client) == uids
            for uid, (metadata, data) in before.items():
                again, values = reading(client, uid)
                assert again == metadata
                assert values.identical(data)
            client.context.close()
    assert lines[-1] == f"{len(uids)} of {len(uids)} runs are in the catalog"
    (kept,) = layout.catalog.glob("replaced-*/catalog.db")
    assert kept.read_bytes() == b"not a database"
    assert not any(path.suffix == ".jsonl" for path in layout.spool.iterdir())


SESSION = """
import sys, threading
from rdaq_ophyd.catalog import EmbeddedCatalog
catalog = EmbeddedCatalog(sys.argv[1], profile=None)
print(catalog.ready(), catalog.server_pid, catalog.worker_pid, flush=True)
threading.Event().wait()
"""


@pytest.mark.timeout(300)
def test_a_second_session_shares_the_server_and_takes_over_when_the_first_is_killed(
    engine: RunEngine, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SESSION, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first, ended(first):
        address, server, worker = first.stdout.readline().split()
        with EmbeddedCatalog(tmp_path, profile=None) as second:
            assert second.ready() == address
            assert second.attached
            assert second.worker_pid is None
            uids = [record(engine, second)]
            check(second, uids)

            first.kill()
            first.wait()
            # The processes of a killed session end by themselves.
            until(lambda: not psutil.pid_exists(int(server)) and not psutil.pid_exists(int(worker)))
            until(lambda: second.serving and not second.attached)
            assert second.ready() == address
            check(second, uids)  # a new server of the same directory finds what was there
            uids.append(record(engine, second))
            check(second, uids)
