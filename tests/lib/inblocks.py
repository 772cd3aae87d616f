"""A run in four blocks of documents, as a worker delivers it piece by piece."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import event_model
import h5py
import numpy as np

Documents = list[tuple[str, dict[str, Any]]]
BLOCKS = 4


def frames(folder: Path, name: str, first: int) -> Path:
    path = folder / name
    if not path.exists():
        with h5py.File(path, "w", libver="latest") as file:
            values = np.arange(first * 12, (first + 4) * 12, dtype="<u2").reshape(-1, 3, 4)
            file.create_dataset("/entry/data/data", data=values, maxshape=(None, 3, 4), chunks=(1, 3, 4))
    return path


def run_of(folder: Path, uid: str = "", *, ragged: bool = False) -> list[Documents]:
    """Scalars, a trace, frames in two files, a second stream, a changed configuration.

    :param folder: of its frames.
    :param ragged: also a list that is longer each time, which Tiled keeps in PostgreSQL only.
    """
    run = event_model.compose_run(uid=uid or str(uuid.uuid4()), metadata={"scan_id": 7})
    keys = {
        "x": {"source": "SIM", "dtype": "number", "shape": [], "dtype_numpy": "<f8"},
        "trace": {"source": "SIM", "dtype": "array", "shape": [3], "dtype_numpy": "<f8"},
        "cam": {"source": "SIM", "dtype": "array", "shape": [1, 3, 4], "dtype_numpy": "<u2", "external": "STREAM:"},
    }
    if ragged:
        keys["peaks"] = {"source": "SIM", "dtype": "array", "shape": [None], "dtype_numpy": "<f8"}
    gain = {"data_keys": {"gain": keys["x"]}, "data": {"gain": 1.0}, "timestamps": {"gain": 0.0}}
    changed = {**gain, "data": {"gain": 2.0}}
    compose = {"name": "primary", "data_keys": keys, "object_keys": {key: [key] for key in keys}}
    streams = [run.compose_descriptor(**compose, configuration={"cam": each}) for each in (gain, changed)]
    other = run.compose_descriptor(name="baseline", data_keys={"x": keys["x"]}, object_keys={"x": ["x"]})
    blocks: list[Documents] = [[] for _ in range(BLOCKS)]
    blocks[0] += [("start", run.start_doc), ("descriptor", streams[0].descriptor_doc)]
    blocks[1] += [("descriptor", other.descriptor_doc)]
    blocks[2] += [("descriptor", streams[1].descriptor_doc)]
    for number in range(2):
        baseline = other.compose_event(data={"x": -1.5}, timestamps={"x": 0.0}, filled={})
        blocks[1 + 2 * number].append(("event", baseline))
    for point in range(8):
        block, stream = blocks[point // 2], streams[point // 4]
        if point % 4 == 0:
            resource = run.compose_stream_resource(
                mimetype="application/x-hdf5",
                uri=f"file://localhost{frames(folder, f'{point // 4}.h5', point)}",
                data_key="cam",
                parameters={"dataset": "/entry/data/data", "chunk_shape": [1, 3, 4], "swmr": True},
            )
            block.append(("stream_resource", resource.stream_resource_doc))
        here, told = point % 4, event_model.StreamRange(start=point + 1, stop=point + 2)
        indices = event_model.StreamRange(start=here, stop=here + 1)
        block.append(("stream_datum", resource.compose_stream_datum(indices, told, stream.descriptor_doc)))
        data = {"x": point / 4, "trace": [point, 1.0, 2.0]}
        if ragged:
            data["peaks"] = [0.5] * (point + 1)
        event = stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), filled={}, seq_num=point + 1)
        block.append(("event", event))
    blocks[3].append(("stop", run.compose_stop()))
    return blocks


def whole(client: Any, blocks: list[Documents]) -> bool:
    """Every document's values, once; nothing besides."""
    run = client[blocks[0][0][1]["uid"]]
    primary = run["primary"].base
    table = primary["internal"].read().sort_values("seq_num")
    assert table["x"].tolist() == [point / 4 for point in range(8)]
    assert run["baseline"].base["internal"].read()["x"].tolist() == [-1.5, -1.5]
    assert primary["trace"].read().tolist() == [[point, 1.0, 2.0] for point in range(8)]
    if "peaks" in primary:
        assert primary["peaks"].read().tolist() == [[0.5] * (point + 1) for point in range(8)]
    assert primary["cam"].read().ravel().tolist() == list(range(8 * 12))
    assert [each["configuration"]["cam"]["data"] for each in primary.metadata["_config_updates"]] == [{"gain": 2.0}]
    assert run.metadata["stop"]["exit_status"] == "success"
    return True
