"""A run recorded through the spool, read back in every way that the catalog offers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import tiled.profiles
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.preprocessors import set_run_key_wrapper
from ophyd_async.core import Array1D, StaticPathProvider, UUIDFilenameProvider, init_devices, soft_signal_rw
from ophyd_async.sim import SimBlobDetector, SimMotor
from tiled.client import from_uri
from tiled.queries import Key
from untraced import untraced

from rdaq_ophyd.catalog import EmbeddedCatalog


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("profiles")
    patch = pytest.MonkeyPatch()
    patch.setattr(tiled.profiles, "paths", [folder])
    yield folder
    patch.undo()
    tiled.profiles.load_profiles.cache_clear()


@pytest.fixture(scope="module")
def catalog(engine: RunEngine, profiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCatalog]:
    with EmbeddedCatalog(tmp_path_factory.mktemp("data dir")) as catalog:
        token = engine.subscribe(catalog.spool)
        catalog.ready()
        yield catalog
        engine.unsubscribe(token)
        assert catalog.close() == 0


@pytest.fixture(scope="module")
def uid(engine: RunEngine, catalog: EmbeddedCatalog) -> str:
    with init_devices():
        camera = SimBlobDetector(StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames), name="camera")
        motor = SimMotor(name="stage", instant=True)
    (uid,) = engine(bp.scan([camera], motor, -1, 1, 5), sample="gold", scan_id=7).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    # The first use in a process opens connections and caches that stay; leave none of that to the tests.
    assert catalog.c[uid].primary.read()["stage"].values.tolist() == [-1, -0.5, 0, 0.5, 1]
    catalog.disconnect()
    return uid


@pytest.fixture(autouse=True)
def no_idle_connections(catalog: EmbeddedCatalog) -> Iterator[None]:
    yield
    catalog.disconnect()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came within the bound"
        threading.Event().wait(0.02)


def test_the_session_object_finds_the_run_by_position_uid_and_number(catalog: EmbeddedCatalog, uid: str) -> None:
    for key in (-1, uid, uid[:8], 7):
        assert catalog.c[key].metadata["start"]["uid"] == uid
    assert uid in list(catalog.c)
    assert uid in catalog.c
    assert len(catalog.c) >= 1
    assert list(catalog.c.search(Key("sample") == "gold")) == [uid]
    assert "7" in repr(catalog.c)


def test_frames_and_scalars_come_back_in_their_shapes(catalog: EmbeddedCatalog, uid: str) -> None:
    data = catalog.c[uid].primary.read()
    assert data["camera"].shape[0] == 5
    assert data["camera"].dtype == np.uint8
    assert data["camera-sum"].shape == (5,)
    assert catalog.c[uid].metadata["stop"]["exit_status"] == "success"


def test_plain_tiled_client(catalog: EmbeddedCatalog, uid: str) -> None:
    client = from_uri(catalog.uri, api_key=str(catalog.api_key))
    try:
        assert client[-1].start["uid"] == uid
        assert client[uid]["primary"].read()["stage"].values.tolist() == [-1, -0.5, 0, 0.5, 1]
    finally:
        client.context.close()


def test_plain_http(catalog: EmbeddedCatalog, uid: str) -> None:
    headers = {"Authorization": f"Apikey {catalog.api_key}"}
    with httpx.Client(base_url=catalog.uri, headers=headers, trust_env=False, timeout=30) as http:
        assert http.get(f"/metadata/{uid}").json()["data"]["attributes"]["metadata"]["start"]["sample"] == "gold"
        table = http.get(f"/table/full/{uid}/primary/internal", params={"format": "text/csv"})
        assert "stage" in table.text.splitlines()[0]
        assert len(table.text.splitlines()) == 6
        rows = http.get(f"/table/full/{uid}/primary/internal", params={"format": "application/json"}).json()
        assert rows["stage"] == [-1, -0.5, 0, 0.5, 1]
        shape = http.get(f"/metadata/{uid}/primary/camera").json()["data"]["attributes"]["structure"]["shape"]
        block = http.get(
            f"/array/full/{uid}/primary/camera", params={"format": "application/octet-stream", "slice": "2"}
        )
        frame = np.frombuffer(block.content, np.uint8).reshape(shape[1:])
        assert (frame == catalog.c[uid].primary["camera"][2]).all()
        documents = http.get(f"/container/full/{uid}", params={"format": "application/json-seq"})
        assert documents.text.count('"start"') >= 1
        # The validator mends what the simulated camera declares otherwise than it writes.
        address = catalog.uri.replace("/api/v1", f"/custom/validate/{uid}")
        assert http.get(address, params={"fix": True, "read": True}).json()["valid"] is True


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Apikey " + "0" * 64}])
def test_nobody_reads_without_the_key(catalog: EmbeddedCatalog, uid: str, headers: dict[str, str]) -> None:
    reply = httpx.get(f"{catalog.uri}/metadata/{uid}", headers=headers, trust_env=False)
    assert reply.status_code == 401
    assert uid not in httpx.get(f"{catalog.uri}/search/", headers=headers, trust_env=False).text


def test_files_are_not_handed_out_raw(catalog: EmbeddedCatalog, uid: str) -> None:
    headers = {"Authorization": f"Apikey {catalog.api_key}"}
    reply = httpx.get(
        f"{catalog.uri}/asset/bytes/{uid}/primary/camera", params={"id": 1}, headers=headers, trust_env=False
    )
    assert reply.status_code == 403


READ_ELSEWHERE = """
import warnings; warnings.simplefilter("ignore")
import databroker, tiled.client
run = databroker.catalog["rdaq"][-1]
same = tiled.client.from_profile("rdaq")[{uid!r}]
print(run.metadata["start"]["uid"], run.primary.read()["stage"].values.tolist(), same.primary["camera"].shape[0])
"""


def test_databroker_and_the_profile_in_another_process(catalog: EmbeddedCatalog, profiles: Path, uid: str) -> None:
    assert (profiles / "rdaq.yml").stat().st_mode & 0o777 == 0o600
    command = [sys.executable, "-X", "preloaded", "-c", READ_ELSEWHERE.format(uid=uid)]
    with untraced():  # it is databroker's
        environment = {**os.environ, "TILED_PROFILES": str(profiles)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [uid, *["[-1.0,", "-0.5,", "0.0,", "0.5,", "1.0]", "5"]], done.stderr


def test_the_key_is_in_no_log_and_no_argument(catalog: EmbeddedCatalog, uid: str) -> None:
    key = str(catalog.api_key)
    assert len(key) == 64
    assert key not in repr(catalog.api_key)
    assert (catalog.layout.catalog / "api_key").stat().st_mode & 0o777 == 0o600
    assert catalog.layout.catalog.stat().st_mode & 0o777 == 0o700
    for file in catalog.layout.catalog.glob("*.log"):
        assert key not in file.read_text()
    for child in psutil.Process().children(recursive=True):
        assert key not in " ".join(child.cmdline())


def test_values_survive_as_they_were(engine: RunEngine, catalog: EmbeddedCatalog) -> None:
    with init_devices():
        number = soft_signal_rw(float, 0.0, name="number")
        count = soft_signal_rw(int, 0, name="count")
        text = soft_signal_rw(str, "", name="text")
        switch = soft_signal_rw(bool, False, name="switch")
        few = soft_signal_rw(Array1D[np.float64], np.zeros(3), name="few")
        many = soft_signal_rw(Array1D[np.int32], np.arange(64, dtype=np.int32), name="many")

    def plan():
        yield from bps.open_run()
        for i, value in enumerate((float("nan"), 0.0, 0.5, float("inf"))):
            yield from bps.mv(number, value, count, i, text, f"µ{i}", switch, bool(i % 2), few, np.full(3, value))
            yield from bps.create("primary")
            for signal in (number, count, text, switch, few, many):
                yield from bps.read(signal)
            yield from bps.save()
        yield from bps.close_run()

    (uid,) = engine(plan()).run_start_uids
    data = catalog.c[uid].primary.read()
    assert np.isnan(data["number"].values[0])
    assert data["number"].values[1:].tolist() == [0.0, 0.5, float("inf")]
    assert data["count"].values.tolist() == [0, 1, 2, 3]
    assert data["text"].values.tolist() == ["µ0", "µ1", "µ2", "µ3"]
    assert [bool(value) for value in data["switch"].values] == [False, True, False, True]
    assert data["many"].values.tolist() == [list(range(64))] * 4
    assert np.array_equal(np.stack(data["few"].values)[1:], [[0.0] * 3, [0.5] * 3, [np.inf] * 3])


def test_an_event_is_in_tiled_while_its_run_goes_on(engine: RunEngine, catalog: EmbeddedCatalog, uid: str) -> None:
    with init_devices():
        signal = soft_signal_rw(float, 0.0, name="power")
    seen = asyncio.Event()

    def plan():
        yield from bps.open_run()
        for value in (1.0, 2.0):
            yield from bps.mv(signal, value)
            yield from bps.trigger_and_read([signal])
        yield from bps.wait_for([seen.wait], timeout=60)
        yield from bps.close_run()

    runner = threading.Thread(target=engine, args=(plan(),), name="runner")
    runner.start()
    until(lambda: catalog.spool.open_runs)
    (live,) = catalog.spool.open_runs
    client = catalog.client
    until(lambda: live in client.keys())  # noqa: SIM118 - `in` alone also looks for beginnings of uids
    until(lambda: "primary" in client[live] and "internal" in client[live]["primary"].base)
    until(lambda: client[live]["primary"].read()["power"].values.tolist() == [1.0, 2.0])
    assert "stop" not in client[live].metadata
    engine.loop.call_soon_threadsafe(seen.set)
    runner.join(30)
    assert catalog.c[-1].metadata["stop"]["exit_status"] == "success"


def test_two_runs_open_at_a_time(engine: RunEngine, catalog: EmbeddedCatalog) -> None:
    with init_devices():
        signal = soft_signal_rw(float, 0.0, name="power")

    def interleaved():
        outer = {"which": "outer"}
        yield from set_run_key_wrapper(bps.open_run(md=outer), "outer")
        yield from set_run_key_wrapper(bps.open_run(md={"which": "inner"}), "inner")
        for value in (1.0, 2.0):
            yield from bps.mv(signal, value)
            for key in ("outer", "inner"):
                yield from set_run_key_wrapper(bps.trigger_and_read([signal]), key)
        yield from set_run_key_wrapper(bps.close_run(), "outer")
        yield from set_run_key_wrapper(bps.close_run(), "inner")

    for uid in engine(interleaved()).run_start_uids:
        assert catalog.c[uid].primary.read()["power"].values.tolist() == [1.0, 2.0]
