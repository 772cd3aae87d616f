"""Data directories of rigs that write into one catalog, and runs recorded in them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import event_model
import h5py
import numpy as np
from scaled import READER, WRITER, Lab

from rdaq_ophyd.catalog import EmbeddedCatalog, Spool, data_layout
from rdaq_ophyd.catalog.__main__ import connect
from rdaq_ophyd.catalog._backlog import pending_runs
from rdaq_ophyd.catalog._stopping import Stopping
from rdaq_ophyd.catalog._worker import Worker
from rdaq_ophyd.startup._record import scan_ids

POINTS = 6


class Directory:
    """One rig's data directory, whose frames lie on the lab's shared file system.

    :param here: where the rig sees its frames: another path than the server's.
    """

    def __init__(self, lab: Lab, root: Path, name: str, *, uri: str = "", keys: tuple[str, str] | None = None) -> None:
        self.lab, self.root, self.name = lab, root, name
        self.there = lab.frames / name
        self.there.mkdir(parents=True, exist_ok=True)
        root.mkdir(parents=True, exist_ok=True)
        self.frames = root / "frames"
        if not self.frames.exists():
            self.frames.symlink_to(self.there)  # stands for a mount
        self.writer, self.reader = keys or (lab.key("rdaq-writer", WRITER), lab.key("rdaq-reader", READER))
        self.configure(uri=uri or lab.tiled.uri)

    def configure(self, **changes: Any) -> Path:
        """Write ``catalog.toml``, some of it changed."""
        said = {
            "uri": self.lab.tiled.uri,
            "key_file": str(self.lab.key_file(self.writer)),
            "reader_key_file": str(self.lab.key_file(self.reader)),
            "paths": {str(self.frames): str(self.there)},
            **changes,
        }
        lines = [
            "format = 1",
            *(f'{key} = "{value}"' for key, value in said.items() if isinstance(value, str) and value),
        ]
        lines += ["[paths]", *(f'"{here}" = "{there}"' for here, there in said["paths"].items())]
        path = self.root / "catalog.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    @contextmanager
    def catalog(self, **options: Any) -> Iterator[EmbeddedCatalog]:
        """Its catalog, open."""
        with EmbeddedCatalog(self.root, rig=self.name, profile=None, **options) as catalog:
            yield catalog


class Rig:
    """A rig that records, and its worker in a thread of this process instead of a process of its own."""

    def __init__(self, directory: Directory) -> None:
        self.directory, self.rig = directory, directory.name
        self.layout = data_layout(directory.root).prepare()
        self.spool = Spool(self.layout)
        self.scan_ids = scan_ids(self.layout.root / "session")
        self.worker = Worker(self.layout, lambda: connect(self.layout))
        self._stopping = Stopping()
        self._thread = threading.Thread(target=self.worker.run, args=(self._stopping,))

    def scan(self, midway: Callable[[], object] = lambda: None) -> str:
        """A run; its uid."""
        return record(self, self.scan_ids({}), midway)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Deliver while the block lasts."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join(30)
            self.worker.close()
            self.spool.close()

    def drained(self) -> bool:
        """Whether the catalog has everything."""
        return not pending_runs(self.layout)


def record(catalog: EmbeddedCatalog | Rig, scan_id: int, midway: Callable[[], object] = lambda: None, **md: Any) -> str:
    """A step scan with frames, as a session writes it; ``midway`` is called after half of the points. Its uid."""
    spool = catalog.spool
    rig = {"name": catalog.rig}
    run = event_model.compose_run(metadata={"scan_id": scan_id, "rig": rig, "plan_name": "steps", **md})
    spool("start", run.start_doc)
    uid = run.start_doc["uid"]
    path = catalog.layout.frames / f"{uid}.h5"
    described = {
        "x": {"source": "SIM:x", "dtype": "number", "shape": [], "dtype_numpy": "<f8"},
        "cam": {
            "source": f"file://localhost{path}",
            "dtype": "array",
            "shape": [1, 3, 4],
            "dtype_numpy": "<u2",
            "external": "STREAM:",
        },
    }
    stream = run.compose_descriptor(name="primary", data_keys=described, object_keys={"x": ["x"], "cam": ["cam"]})
    spool("descriptor", stream.descriptor_doc)
    with h5py.File(path, "w", libver="latest") as file:
        data = file.create_dataset("/entry/data/data", (0, 3, 4), "<u2", maxshape=(None, 3, 4), chunks=(1, 3, 4))
        file.swmr_mode = True
        resource = run.compose_stream_resource(
            mimetype="application/x-hdf5",
            uri=f"file://localhost{path}",
            data_key="cam",
            parameters={"dataset": "/entry/data/data", "chunk_shape": [1, 3, 4], "swmr": True},
        )
        spool("stream_resource", resource.stream_resource_doc)
        for point in range(POINTS):
            if point == POINTS // 2:
                midway()
            data.resize(point + 1, axis=0)
            data[point] = frame(scan_id, point)
            data.flush()
            indices = event_model.StreamRange(start=point, stop=point + 1)
            numbers = event_model.StreamRange(start=point + 1, stop=point + 2)
            spool("stream_datum", resource.compose_stream_datum(indices, numbers, stream.descriptor_doc))
            spool("event", stream.compose_event(data={"x": point / 4}, timestamps={"x": 0.0}, filled={}))
    spool("stop", run.compose_stop())
    return str(uid)


def frame(scan_id: int, point: int) -> np.ndarray:
    """The frame of a point."""
    return np.full((3, 4), scan_id * 100 + point, "<u2")


def check_run(client: Any, uid: str) -> None:
    """The run is there once and whole, with every value and frame."""
    run = client[uid]
    scan_id = run.metadata["start"]["scan_id"]
    assert run.metadata["stop"]["exit_status"] == "success"
    data = run.primary.read()
    assert data["x"].values.tolist() == [point / 4 for point in range(POINTS)]
    frames = np.asarray(data["cam"]).reshape(POINTS, 3, 4)
    assert (frames == [frame(scan_id, point) for point in range(POINTS)]).all()
