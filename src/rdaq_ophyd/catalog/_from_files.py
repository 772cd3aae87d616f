"""Runs made from HDF5 files alone, where no document tells of them any more."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import orjson

from rdaq_ophyd.document_lines import Document, encode
from rdaq_ophyd.errors import DataDirectoryError

from ._file_facts import FileKey, facts_of
from ._held_files import HeldFiles
from ._layout import DataLayout
from ._runfile import SUFFIX, VERSION
from ._spoolfile import documents_of, path_of
from ._told import one_line

if TYPE_CHECKING:
    from rdaq_ophyd.frames import ReadableFile

_EXIT: dict[str, Literal["success", "abort"]] = {"complete": "success", "aborted": "abort"}
# Owner of the files made here: no process, so that whoever looks for it finds that it is gone.
_NOBODY = "0-from-files"


def record_orphans(layout: DataLayout) -> Iterator[str]:
    """Record a run for each file of ours below ``frames/`` that no recorded run tells of; say what, a line each.

    A file says what its detector measured, when, and how it ended; not the plan, the sample or what else was read.
    Files of one run become runs of their own. The uid follows from the file, so that a second call adds nothing.
    """
    from rdaq_ophyd.frames import read_readable

    known, held = _known_files(layout), HeldFiles(layout)
    for path in sorted(layout.frames.rglob("*.h5")):
        name = path.relative_to(layout.root)
        if path.name in known:
            continue
        if held.holds(path):
            yield f"{name}: a program has it open: close that and call again, no run is made of it now"
            continue
        try:
            readable = read_readable(path)
            documents = list(_documents(layout, path, readable)) if readable.ours else []
        except (OSError, KeyError, ValueError) as error:
            yield f"{name}: cannot be read: {one_line(error)}"
            continue
        except Exception as error:  # noqa: BLE001  one odd file must not keep all others out of the catalog
            yield f"{name}: no run can be made of it: {str(error).partition('\n')[0]}"
            continue
        if not documents:
            yield f"{name}: no layout of ours, or empty: no run is made of it"
            continue
        uid = documents[0][1]["uid"]
        _record(layout, uid, documents)
        yield f"{name}: run {uid} made from the file alone"


def _known_files(layout: DataLayout) -> set[str]:
    """Names of all files that recorded runs tell of; a data directory may have moved, the names stay."""
    found = set()
    for folder in (layout.spool, layout.delivered, layout.interrupted):
        for path in folder.glob(f"*{SUFFIX}"):
            for name, document in documents_of(path):
                if name in ("stream_resource", "resource"):
                    found.add(path_of(document.get("uri") or document.get("resource_path", "")).name)
    return found


def _documents(layout: DataLayout, path: Path, readable: ReadableFile) -> Iterator[tuple[str, Document]]:
    from event_model import compose_run

    facts, keys = facts_of(path, readable)
    facts["name"], keys = _legal(facts["name"]), {_legal(key): told for key, told in keys.items()}
    if not any(key.rows for key in keys.values()):
        return
    where = path.relative_to(layout.frames)
    run = compose_run(
        uid=str(uuid.uuid5(uuid.NAMESPACE_URL, f"rdaq-frames:{where.as_posix()}:{facts['start_time']}")),
        time=_seconds(facts["start_time"]) or path.stat().st_mtime,
        metadata={
            "plan_name": "from_file",
            "detectors": [facts["name"]],
            "rdaq_from_file": {"version": 1, "time": time.time(), "file": where.as_posix(), **facts},
        },
    )
    yield "start", dict(run.start_doc)
    for number, (rows, group) in enumerate(_groups(keys)):
        stream = run.compose_descriptor(
            name="primary" if number == 0 else f"primary_{number}",
            data_keys={key: keys[key].described for key in group},
            object_keys={facts["name"]: group},
            hints={facts["name"]: {"fields": [key for key in group if key.endswith(("-mean", "-max"))]}},
        )
        yield "descriptor", dict(stream.descriptor_doc)
        for key in group:
            assert run.compose_stream_resource is not None
            bundle = run.compose_stream_resource(
                mimetype="application/x-hdf5",
                uri=f"file://localhost{path}",
                data_key=key,
                parameters=keys[key].parameters,
            )
            yield "stream_resource", dict(bundle.stream_resource_doc)
            datum = bundle.compose_stream_datum(
                indices={"start": 0, "stop": rows},
                seq_nums={"start": 1, "stop": rows + 1},
                descriptor=stream.descriptor_doc,
            )
            yield "stream_datum", dict(datum)
    status: Literal["success", "abort", "fail"] = _EXIT.get(readable.exit_status, "fail")
    # The clock of the file system may be some milliseconds behind.
    ended = _seconds(facts["end_time"]) or max(path.stat().st_mtime, run.start_doc["time"])
    reason = f"made from {where.name} alone, whose exit status is {readable.exit_status or 'not given'}"
    stop = run.compose_stop(exit_status=status, reason=reason, time=ended)
    yield "stop", dict(stop)


def _groups(keys: dict[str, FileKey]) -> list[tuple[int, list[str]]]:
    """Keys of equally many rows belong to one stream; the largest such group first."""
    groups: dict[int, list[str]] = defaultdict(list)
    for name, key in keys.items():
        if key.rows:
            groups[key.rows].append(name)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def _legal(name: str) -> str:
    """A name that event-model allows for a data key."""
    return re.sub(r"[./]", "_", name)


def _seconds(text: str) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def _record(layout: DataLayout, uid: str, documents: list[tuple[str, Document]]) -> None:
    header = {"rdaq_spool": VERSION, "run": uid, "owner": _NOBODY, "created": documents[0][1]["time"]}
    made, path = layout.spool / f".{uid}.made", layout.spool / f"{uid}{SUFFIX}"
    try:
        with made.open("wb") as file:
            file.write(orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE))
            for name, document in documents:
                file.write(encode(name, document))
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, path)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise DataDirectoryError(
            f"cannot write {str(path)!r} ({error.strerror or error})",
            hint="free some room or make the folder writable, then rebuild again: it goes on with what is left",
        ) from error
