"""What an array that grows leaves in the catalog: Tiled keeps its structure anew each time it is told of more rows."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import event_model

from benchmarks._facility._cost import cpu_seconds
from benchmarks._facility._recording import DATASET, SHAPE, keys
from benchmarks._facility._setups import SetUp
from rdaq_ophyd.catalog import _consolidator
from rdaq_ophyd.catalog.__main__ import connect
from rdaq_ophyd.catalog._layout import DataLayout
from rdaq_ophyd.catalog._run_writer import RunDelivery
from rdaq_ophyd.catalog._shared import shared_catalog

_WIDER = itertools.count(1)


@dataclass(frozen=True)
class Growth:
    """One array that grew.

    :param grouped: as our writer does it; else a chunk a frame.
    :param structures: kept afterwards, and their bytes.
    :param told: bytes that the cache for subscribers grew by, where it is a server of its own.
    :param cpu: seconds of all server processes.
    """

    grouped: bool
    frames: int
    updates: int
    structures: int
    bytes: int
    told: int
    seconds: float
    cpu: float


@contextmanager
def chunks(grouped: bool) -> Iterator[None]:
    """Tell Tiled of the chunks as our writer does, or as they are in the file."""
    ours = _consolidator.together
    if not grouped:
        _consolidator.together = lambda chunk, _row, _itemsize: chunk
    try:
        yield
    finally:
        _consolidator.together = ours


def grow(setup: SetUp, layout: DataLayout, updates: int, step: int, *, grouped: bool) -> Growth:
    """Register an array, and let it grow by ``step`` frames so many times; no frame of it is ever read."""
    client = connect(layout)
    uid = str(uuid.uuid4())
    path = layout.frames / f"{uid}.h5"
    run = event_model.compose_run(uid=uid, metadata={"scan_id": 0, "rig": {"name": "growth"}})
    # Equal structures are kept once: a width that no other array here has.
    shape = [SHAPE[0], SHAPE[1] + next(_WIDER)]
    key = {**keys(path)["cam"], "shape": shape}
    stream = run.compose_descriptor(name="primary", data_keys={"cam": key}, object_keys={"cam": ["cam"]})
    resource = run.compose_stream_resource(
        mimetype="application/x-hdf5",
        uri=f"file://localhost{path}",
        data_key="cam",
        parameters={"dataset": DATASET, "chunk_shape": [1, *shape], "swmr": True},
    )
    shared = shared_catalog(layout)
    with chunks(grouped):
        delivery = RunDelivery(client, uid, paths=shared.paths if shared else None)
        delivery.write([("start", run.start_doc), ("descriptor", stream.descriptor_doc)])
        delivery.write([("stream_resource", resource.stream_resource_doc)])
        count, size = setup.databases.structures()
        told = setup.told_bytes()
        began, cpu = time.monotonic(), cpu_seconds(setup.servers())
        for number in range(updates):
            rows = event_model.StreamRange(start=number * step, stop=(number + 1) * step)
            numbers = event_model.StreamRange(start=number * step + 1, stop=(number + 1) * step + 1)
            delivery.write([("stream_datum", resource.compose_stream_datum(rows, numbers, stream.descriptor_doc))])
        told = setup.told_bytes() - told
        seconds, used = time.monotonic() - began, cpu_seconds(setup.servers()) - cpu
        delivery.write([("stop", run.compose_stop())])
    more, larger = setup.databases.structures()
    client.context.close()
    return Growth(grouped, updates * step, updates, more - count, larger - size, told, seconds, used)
