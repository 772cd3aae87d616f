"""One stream of a run in the catalog as an Arrow table, with units and the run's metadata in its schema."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdaq_ophyd.document_lines import plain
from rdaq_ophyd.errors import CatalogError

from ._export_columns import array_of, column_of, counted, described_type, padded, whole_array
from ._told_rows import told_rows

logger = logging.getLogger(__name__)
EXPORT_VERSION = 1
# Numbers in memory at a time, bytes.
_BLOCK = 16 << 20
_HDF5 = "application/x-hdf5"


@dataclass(frozen=True)
class FrameFiles:
    """Where the frames of one data key are.

    :param key: the data key.
    :param shape: of all frames together, ``(n, height, width)``; ``(n,)`` for numbers in such a file.
    :param files: HDF5 files, in order; empty where the frames are no HDF5.
    :param dataset: in each of them.
    :param told: frames in each of several files that documents tell of, where that was noted.
    """

    key: str
    shape: tuple[int, ...]
    files: tuple[Path, ...]
    dataset: str
    told: tuple[int, ...] = ()

    def check(self) -> None:
        """Tiled tries for half a minute to read a file that is gone.

        :raises CatalogError: the folder is on this machine, and the file is not in it.
        """
        for path in self.files:
            if path.parent.is_dir() and not path.exists():
                raise CatalogError(
                    f"{self.key}: its file {path} is gone", hint="put it back; the catalog only refers to it"
                )

    def counts(self) -> list[int] | None:
        """Frames of each file, None when that cannot be told."""
        if len(self.files) < 2:
            return [self.shape[0]] * len(self.files)
        if len(self.told) == len(self.files):
            return list(self.told)
        import h5py

        try:
            found = []
            for path in self.files:
                with h5py.File(path, "r", swmr=True) as file:
                    found.append(int(file[self.dataset].shape[0]))
        except (OSError, KeyError) as error:
            logger.warning("%s: which frame is in which file cannot be told: %s", self.key, error)
            return None
        return found


@dataclass(frozen=True)
class StreamTable:
    """A stream as a table that is read a block at a time.

    :param schema: with units and the run's metadata.
    :param columns: arrays, or what is sliced like one.
    :param rows: of the longest column.
    :param frames: where the frames are.
    """

    schema: Any
    columns: Sequence[Any]
    rows: int
    frames: Sequence[FrameFiles]

    def blocks(self) -> Iterator[Any]:
        """The rows as Arrow tables of some 16 MiB."""
        import pyarrow as pa

        wide = sum(column.type.list_size for column in self.columns if pa.types.is_fixed_size_list(column.type))
        step = max(1, _BLOCK // (8 * (len(self.columns) + wide)))
        for start in range(0, self.rows, step):
            count = min(step, self.rows - start)
            yield pa.Table.from_arrays([padded(c, start, count) for c in self.columns], schema=self.schema)


def stream_table(run: Any, name: str) -> StreamTable:
    """The stream ``name`` as a table, and where its frames are.

    Columns: ``seq_num``, ``time``, the data keys as they were described, for each data key of frames ``KEY_file`` and
    ``KEY_index``, then the time stamp of each reading (``ts_KEY``). A column shorter than others ends in nulls.
    """
    import pyarrow as pa

    stream = run[name]
    described = stream.metadata.get("data_keys", {})
    columns: dict[str, Any] = {}
    frames: list[FrameFiles] = []
    for key, node in _parts(stream):
        if key is None:
            table = pa.Table.from_pandas(node.read(), preserve_index=False)
            columns.update((key, whole_array(table[key])) for key in table.column_names)
            continue
        files = _frame_files(key, node) if described.get(key, {}).get("external") else None
        if files is not None and len(files.shape) > 2:
            frames.append(files)
        elif files is not None:
            files.check()
            columns[key] = column_of(node)
        else:
            columns[key] = array_of(node.read())
    for each in frames:
        columns.update(_references(each))
    rows = max((len(column) for column in columns.values()), default=0)
    columns.setdefault("seq_num", counted(rows))
    order = ["seq_num", "time", *described, *(k for k in columns if not k.startswith("ts_")), *columns]
    fields, arrays = [], []
    for key in dict.fromkeys(k for k in order if k in columns):
        array = described_type(columns[key], described.get(key, {}))
        fields.append(pa.field(key, array.type, metadata=_about(key, described)))
        arrays.append(array)
    schema = pa.schema(fields, metadata=run_metadata(run, name, frames))
    return StreamTable(schema, arrays, rows, frames)


def run_metadata(run: Any, stream: str, frames: Sequence[FrameFiles] = ()) -> dict[str, str]:
    """Schema metadata: which run, its documents and configuration as JSON, where its frames are."""
    start, stop = run.metadata.get("start") or {}, run.metadata.get("stop")
    return {
        "rdaq_export_version": str(EXPORT_VERSION),
        "run_uid": str(start.get("uid", "")),
        "scan_id": str(start.get("scan_id", "")),
        "plan_name": str(start.get("plan_name", "")),
        "stream": stream,
        "start": to_json(start),
        "stop": to_json(stop),
        "configuration": to_json(run[stream].metadata.get("configuration", {})),
        "frames": to_json(
            {f.key: {"files": [*map(str, f.files)], "dataset": f.dataset, "shape": [*f.shape]} for f in frames}
        ),
    }


def to_json(value: Any) -> str:
    """JSON of documents as Tiled's client gives them."""
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    return plain(value)


def _parts(stream: Any) -> Iterator[tuple[str | None, Any]]:
    """The arrays of a stream with their keys, and its table with None."""
    if not hasattr(type(stream), "base"):
        raise CatalogError(
            f"stream {stream.item['id']!r} is stored in a form that cannot be exported", hint="read it with databroker"
        )
    for key, node in stream.base.items():
        is_table = node.item["attributes"]["structure_family"] == "table"
        yield (None if is_table else key), node


def _frame_files(key: str, node: Any) -> FrameFiles:
    from tiled.utils import path_from_uri

    source = node.data_sources()[0]
    files: tuple[Path, ...] = ()
    if source.mimetype == _HDF5:
        files = tuple(Path(path_from_uri(a.data_uri)) for a in sorted(source.assets, key=lambda a: a.num or 0))
    shape, dataset = tuple(getattr(node, "shape", ())), str(source.parameters.get("dataset", ""))
    return FrameFiles(key, shape, files, dataset, told_rows(source))


def _references(frames: FrameFiles) -> dict[str, Any]:
    import pyarrow as pa

    counts = frames.counts()
    if not counts:
        return {}
    names = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    files = pa.DictionaryArray.from_arrays(pa.array(names), pa.array([str(path) for path in frames.files]))
    index = np.concatenate([np.arange(n, dtype=np.int64) for n in counts])
    return {f"{frames.key}_file": files, f"{frames.key}_index": pa.array(index)}


def _about(key: str, described: Mapping[str, Any]) -> dict[str, str]:
    if key == "time" or key.startswith("ts_"):
        return {"units": "s", "long_name": "seconds since 1970-01-01 UTC"}
    about = described.get(key, {})
    known = ("units", "source", "object_name", "precision", "dtype_numpy")
    return {name: str(about[name]) for name in known if about.get(name) is not None}
