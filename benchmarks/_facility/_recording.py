"""Runs as sessions of ours record them: documents into the spool, frames into a file that readers may open."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import event_model
import h5py
import numpy as np

from rdaq_ophyd.catalog import Spool

SHAPE = (16, 16)
"""Of a frame. Frames never pass through the catalog: their size is the file system's matter."""
DATASET = "/entry/data/data"
SAMPLES = 1000
"""Runs are of so many samples, in turn: what a search by a key of the start document finds is one in so many."""


@dataclass
class Recorded:
    """One run.

    :param flushed: (rows, s since the epoch) each time that rows became readable.
    """

    uid: str
    frames: int
    flushed: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Load:
    """How runs are recorded.

    :param frames: of a run; with each goes an event.
    :param block: frames between two flushes.
    :param rate: frames a second; 0: as fast as it goes.
    """

    frames: int
    block: int = 10
    rate: float = 0.0


def sample(scan_id: int) -> str:
    """The sample of a run."""
    return f"sample-{scan_id % SAMPLES}"


def frame(scan_id: int, row: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """The pixels of one frame."""
    return np.full(SHAPE, (scan_id * 7919 + row) % 65536, "<u2")


def keys(path: Path) -> dict[str, Any]:
    """The data keys of a run."""
    cam = {"dtype": "array", "shape": [*SHAPE], "dtype_numpy": "<u2", "external": "STREAM:"}
    return {
        "x": {"source": "SIM:x", "dtype": "number", "shape": [], "dtype_numpy": "<f8", "units": "mm"},
        "cam": {"source": f"file://localhost{path}", **cam},
    }


def record(spool: Spool, rig: str, scan_id: int, uid: str, load: Load) -> Recorded:
    """Record one run.

    :param rig: its name.
    :param uid: of the run.
    """
    path = spool.layout.frames / f"{uid}.h5"
    md = {"scan_id": scan_id, "rig": {"name": rig}, "plan_name": "steps", "sample": sample(scan_id)}
    run = event_model.compose_run(uid=uid, metadata=md)
    spool("start", run.start_doc)
    stream = run.compose_descriptor(name="primary", data_keys=keys(path), object_keys={"x": ["x"], "cam": ["cam"]})
    spool("descriptor", stream.descriptor_doc)
    resource = run.compose_stream_resource(
        mimetype="application/x-hdf5",
        uri=f"file://localhost{path}",
        data_key="cam",
        parameters={"dataset": DATASET, "chunk_shape": [1, *SHAPE], "swmr": True},
    )
    done = Recorded(uid, load.frames)
    began = time.monotonic()
    with h5py.File(path, "w", libver="latest") as file:
        data = file.create_dataset(DATASET, (0, *SHAPE), "<u2", maxshape=(None, *SHAPE), chunks=(1, *SHAPE))
        file.swmr_mode = True
        spool("stream_resource", resource.stream_resource_doc)
        for first in range(0, load.frames, load.block):
            last = min(first + load.block, load.frames)
            if load.rate:
                time.sleep(max(0.0, began + last / load.rate - time.monotonic()))
            data.resize(last, axis=0)
            data[first:last] = [frame(scan_id, row) for row in range(first, last)]
            data.flush()
            done.flushed.append((last, time.time()))
            datum = resource.compose_stream_datum(
                event_model.StreamRange(start=first, stop=last),
                event_model.StreamRange(start=first + 1, stop=last + 1),
                stream.descriptor_doc,
            )
            spool("stream_datum", datum)
            for row in range(first, last):
                spool("event", stream.compose_event(data={"x": row / 4}, timestamps={"x": 0.0}, filled={}))
    spool("stop", run.compose_stop())
    return done
