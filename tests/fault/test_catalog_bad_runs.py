"""Runs that Tiled cannot take, and runs whose process died, beside others that must get through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import httpx
import numpy as np
import pytest
from event_model import compose_run

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.errors import CatalogError


@pytest.fixture(scope="module")
def catalog(untraced: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCatalog]:
    with EmbeddedCatalog(tmp_path_factory.mktemp("data"), profile=None) as catalog:
        catalog.ready()
        yield catalog


@pytest.fixture(autouse=True)
def no_idle_connections(catalog: EmbeddedCatalog) -> Iterator[None]:
    yield
    catalog.disconnect()


def step_scan(points: int = 3):
    run = compose_run()
    yield "start", run.start_doc
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"source": "s", "dtype": "number", "shape": []}})
    yield "descriptor", stream.descriptor_doc
    for point in range(points):
        yield "event", stream.compose_event(data={"x": point}, timestamps={"x": 0.0})
    yield "stop", run.compose_stop()


def with_a_file_from(uri: str):
    """A run whose frames are said to be in the file at ``uri``."""
    run = compose_run()
    yield "start", run.start_doc
    data_key = {"source": "s", "dtype": "array", "dtype_numpy": "|u1", "shape": [4, 4], "external": "STREAM:"}
    stream = run.compose_descriptor(name="primary", data_keys={"frames": data_key})
    yield "descriptor", stream.descriptor_doc
    resource = run.compose_stream_resource(
        mimetype="application/x-hdf5",
        uri=uri,
        data_key="frames",
        parameters={"dataset": "/d", "chunk_shape": (1, 4, 4)},
    )
    yield "stream_resource", resource.stream_resource_doc
    yield (
        "stream_datum",
        resource.compose_stream_datum(
            indices={"start": 0, "stop": 1}, seq_nums={"start": 1, "stop": 2}, descriptor=stream.descriptor_doc
        ),
    )
    yield "stop", run.compose_stop()


def invalid():
    run = compose_run()
    yield "start", run.start_doc
    yield "descriptor", {"uid": "d", "run_start": run.start_doc["uid"], "time": 0.0, "name": "primary"}
    yield "stop", run.compose_stop()


def spool(catalog: EmbeddedCatalog, documents) -> str:
    documents = list(documents)
    for name, document in documents:
        catalog.spool(name, document)
    return documents[0][1]["uid"]


def test_a_run_that_breaks_the_schema_is_kept_back_and_the_next_one_gets_through(
    catalog: EmbeddedCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    bad = spool(catalog, invalid())
    good = spool(catalog, step_scan())
    assert catalog.wait_drained(good, timeout=60)
    assert catalog.client[good].primary.read()["x"].values.tolist() == [0, 1, 2]
    with pytest.raises(CatalogError, match=bad) as caught:
        catalog.wait_drained(timeout=90)
    assert "next session tries again" in caught.value.hint
    assert catalog.behind() == 3
    assert bad in catalog.last_error()
    assert catalog.c[-1].metadata["start"]["uid"] in (good, bad)  # c still answers, and warns
    assert bad in caplog.text


def test_a_file_outside_the_frames_folder_is_never_served(catalog: EmbeddedCatalog, tmp_path: Path) -> None:
    outside = tmp_path / "private.h5"
    with h5py.File(outside, "w") as file:
        file["d"] = np.ones((1, 4, 4), "u1")
    uid = spool(catalog, with_a_file_from(f"file://localhost{outside}"))
    assert catalog.wait_drained(uid, timeout=60)
    headers = {"Authorization": f"Apikey {catalog.api_key}"}
    address = f"{catalog.uri}/array/full/{uid}/primary/frames"
    reply = httpx.get(address, params={"format": "application/octet-stream"}, headers=headers, trust_env=False)
    assert reply.is_error
    assert b"\x01" not in reply.content


RECORDER = """
import sys, threading
from event_model import compose_run
from rdaq_ophyd.catalog import Spool, data_layout
spool = Spool(data_layout(sys.argv[1]))
run = compose_run()
spool("start", run.start_doc)
stream = run.compose_descriptor(name="primary", data_keys={"x": {"source": "s", "dtype": "number", "shape": []}})
spool("descriptor", stream.descriptor_doc)
for point in range(50):
    spool("event", stream.compose_event(data={"x": point}, timestamps={"x": 0.0}))
print(run.start_doc["uid"], flush=True)
threading.Event().wait()
"""


def test_a_run_whose_process_was_killed_is_in_tiled_as_far_as_it_came(catalog: EmbeddedCatalog) -> None:
    command = [sys.executable, "-c", RECORDER, str(catalog.layout.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as recorder:
        uid = recorder.stdout.readline().strip()
        os.kill(recorder.pid, signal.SIGKILL)
    assert catalog.wait_drained(uid, timeout=60)
    run = catalog.client[uid]
    assert run.primary.read()["x"].values.tolist() == list(range(50))
    assert "stop" not in run.metadata  # nobody says how it ended
