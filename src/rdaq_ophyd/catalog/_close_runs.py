"""Runs without an end whose process is gone: closed with a stop document that says what is known."""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rdaq_ophyd.document_lines import Document, encode
from rdaq_ophyd.errors import CatalogError

from ._backlog import Delivery, record_path, write_delivery
from ._layout import DataLayout
from ._reconcile import Rows, fates, reconciled, rows_of
from ._runfile import SUFFIX
from ._spoolfile import SpooledRun, documents_of, read_spooled
from ._told import Told, counted, one_line

# Beside a run's file: its bytes as they were, where more than the end was changed.
ORIGINAL = ".original"


def close_runs(layout: DataLayout, *, worker_lives: bool, act: bool) -> Iterator[Told]:
    """Give every run whose process is gone its stop document; say what was found.

    A closed run goes back into the spool, from where it is delivered once more, whole.

    :param worker_lives: a session's worker has the runs in the spool in its hands; only those it put away are closed.
    :param act: False only tells what would be done.
    """
    for path in sorted([*layout.spool.glob(f"*{SUFFIX}"), *layout.interrupted.glob(f"*{SUFFIX}")]):
        try:
            run = read_spooled(path)
            if run.stop is None or path.parent == layout.interrupted:
                yield _close(layout, run, worker_lives=worker_lives, act=act)
        except (CatalogError, OSError) as error:
            yield Told(str(path.relative_to(layout.root)), f"cannot be repaired: {one_line(error)}", "failed")


def _close(layout: DataLayout, run: SpooledRun, *, worker_lives: bool, act: bool) -> Told:
    about = f"run {run.uid}"
    waiting = run.path.parent == layout.spool
    if run.owner_lives(layout.owners):
        return Told(about, "is being recorded, left alone", "left")
    if waiting and worker_lives:
        return Told(about, "a session that runs now delivers what there is of it; repair it after that", "left")
    again = [folder / run.path.name for folder in (layout.spool, layout.delivered) if not waiting]
    if any(path.exists() for path in again) or run.stop is not None:
        return Told(about, _finish(layout, run, again, act=act), "changed")
    if run.start is None:
        return Told(about, _put_aside(layout, run, act=act), "changed")
    rows = rows_of(run)
    stop = stop_document(run, rows)
    if act:
        _write(layout, run, rows, stop)
    return Told(about, ("closed: " if act else "would be closed: ") + stop["reason"], "changed")


def _finish(layout: DataLayout, run: SpooledRun, again: list[Path], *, act: bool) -> str:
    """Complete a repair that was itself cut short between its last two steps."""
    if act and any(path.exists() for path in again):
        os.replace(run.path, run.path.with_name(run.path.name + ORIGINAL))
    elif act:
        os.replace(run.path, layout.spool / run.path.name)
    return "was closed by an earlier repair" + ("" if act else ", which is to be completed")


def _put_aside(layout: DataLayout, run: SpooledRun, *, act: bool) -> str:
    if act:
        os.replace(run.path, layout.interrupted / (run.path.name + ORIGINAL))
        record_path(run.path).unlink(missing_ok=True)
    return f"not even its start document is whole ({counted(run.torn, 'byte')}); put aside"


def stop_document(run: SpooledRun, rows: Mapping[str, Rows]) -> Document:
    """The end of a run of which only its traces are known.

    Its time is that of the last sign of life; ``rdaq_repair`` holds the facts that ``reason`` tells.
    """
    assert run.start is not None
    alive = max(run.last_time, run.path.stat().st_mtime)
    owner = run.header.owner.partition("-")[0] if run.header else "?"
    events = _events_left(run, rows)
    said = [counted(number, "event") + f" in {name}" for name, number in events.items()]
    facts = [
        f"the process that recorded this run ({owner}) ended without a stop document; last sign of life {_iso(alive)}",
        "kept: " + ", ".join(said or ["the start document"]),
        *fates(rows.values()),
    ]
    if run.torn:
        facts.append(f"a last document was torn ({counted(run.torn, 'byte')})")
    if run.damaged:
        facts.append(f"{counted(len(run.damaged), 'damaged line')} passed over")
    return {
        "uid": str(uuid.uuid4()),
        "time": alive,
        "run_start": run.start["uid"],
        "exit_status": "fail",
        "reason": "; ".join(facts),
        "num_events": events,
        "rdaq_repair": {
            "version": 1,
            "time": time.time(),
            "last_sign_of_life": alive,
            "torn_bytes": run.torn,
            "damaged_lines": len(run.damaged),
            "rows": [one.as_json() for one in rows.values()],
        },
    }


def _events_left(run: SpooledRun, rows: Mapping[str, Rows]) -> dict[str, int]:
    """Events of each stream once nothing is told of rows that are not there."""
    if all(one.kept == one.stream.rows for one in rows.values()):
        return dict(run.events)
    left = SpooledRun(run.path)
    for name, document in reconciled(documents_of(run.path), rows):
        left.take(name, document)
    return left.events


def _write(layout: DataLayout, run: SpooledRun, rows: Mapping[str, Rows], stop: Document) -> None:
    changed = bool(run.torn or run.damaged or any(one.kept != one.stream.rows for one in rows.values()))
    # Its name has not the ending of a run's file: nobody takes the unfinished one for it.
    made = layout.interrupted / f".{run.path.name}.repair"
    with run.path.open("rb") as old, made.open("wb") as new:
        new.write(old.readline())
        for name, document in reconciled(documents_of(run.path), rows):
            new.write(encode(name, document))
        new.write(encode("stop", stop))
        new.flush()
        os.fsync(new.fileno())
    if changed:
        shutil.copy2(run.path, layout.interrupted / (run.path.name + ORIGINAL))
    # Before the run is there for a worker: what was noted of its delivery is not of this file.
    taken_back = any(one.kept < one.stream.rows for one in rows.values())
    write_delivery(layout.spool / run.path.name, Delivery(afresh=taken_back))
    os.replace(made, layout.spool / run.path.name)
    if run.path.parent != layout.spool:
        run.path.unlink()


def _iso(moment: float) -> str:
    return re.sub(r"\+00:00$", "Z", datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds"))
