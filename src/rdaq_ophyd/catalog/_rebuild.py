"""The catalog made anew from the record on disk, when its database is lost or broken."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rdaq_ophyd.errors import CatalogError

from ._alone import alone
from ._backlog import pending_runs, record_path
from ._child import Child
from ._from_files import record_orphans
from ._layout import DataLayout
from ._lock import is_held
from ._runfile import SUFFIX
from ._shared import shared_catalog
from ._told import counted

# Tiled's databases with the files that SQLite keeps beside them, and its arrays.
_TILEDS = ("catalog.db*", "tables.db*", "arrays")
_START_TIMEOUT = 60.0
# Longer than any pause after a failed delivery.
_STALLED = 120.0
_LOOK_EVERY = 0.05


def rebuild(layout: DataLayout, *, from_files: bool = False) -> Iterator[str]:
    """Put Tiled's files aside and deliver every recorded run into new ones; say what is done, a line each.

    Killed in between, the next session (or a second call) goes on: what is not delivered waits in the spool.

    :param from_files: also make a run of each frame file that no recorded run tells of; then the spool may be lost.
    :raises CatalogError: when a session uses the catalog, or Tiled does not start.
    :raises DataDirectoryError: when there is no such data directory.
    """
    if (shared := shared_catalog(layout)) is not None:
        raise CatalogError(
            f"the runs of {str(layout.root)!r} belong to the shared catalog {shared.uri}, whose database others keep",
            hint="what is missing there: rdaq catalog move",
        )
    with alone(layout, files_will_do=from_files) as worker_lives:
        if worker_lives or is_held(layout.catalog / "server.lock") or any(map(is_held, layout.owners.glob("*"))):
            raise CatalogError(
                f"a session works in the data directory {str(layout.root)!r}",
                hint="close it, then rebuild the catalog",
            )
        if from_files:
            yield from record_orphans(layout)
        count = _queue_all(layout)
        if (kept := put_aside(layout)) is not None:
            yield f"the old catalog is kept in {kept.relative_to(layout.root)}"
        yield f"delivering {counted(count, 'run')}"
        with serving(layout) as server:
            _deliver(layout, server)
            left = pending_runs(layout)
            for run in left:
                yield f"run {run.uid}: not delivered: {run.delivery.error or 'its beginning is torn'}"
            yield f"{count - len(left)} of {counted(count, 'run')} are in the catalog"


def _queue_all(layout: DataLayout) -> int:
    """Every recorded run back into the spool, before anything is taken away; how many there are."""
    for folder in (layout.delivered, layout.interrupted):
        for path in folder.glob(f"*{SUFFIX}"):
            os.replace(path, layout.spool / path.name)
    found = list(layout.spool.glob(f"*{SUFFIX}"))
    for path in found:
        record_path(path).unlink(missing_ok=True)
    return len(found)


def put_aside(layout: DataLayout) -> Path | None:
    """Put Tiled's own files into a folder beside them; the folder, or None where there were none."""
    found = [path for pattern in _TILEDS for path in layout.catalog.glob(pattern)]
    if not found:
        return None
    stamp = datetime.now().astimezone().strftime("replaced-%Y%m%d-%H%M%S")
    folder = next(p for n in range(1000) if not (p := layout.catalog / (f"{stamp}-{n}" if n else stamp)).exists())
    folder.mkdir(mode=0o700)
    for path in found:
        os.replace(path, folder / path.name)
    return folder


@contextmanager
def serving(layout: DataLayout) -> Iterator[Child]:
    """Tiled for the data directory, as a session runs it.

    :raises CatalogError: it does not start.
    """
    folder = layout.catalog
    (folder / "server.json").unlink(missing_ok=True)
    child = Child(layout, "serve", folder / "server.lock", folder / "server.log")
    child.keep()
    end = time.monotonic() + _START_TIMEOUT
    try:
        while not (folder / "server.json").exists():
            if child.pid is None or time.monotonic() > end:
                raise CatalogError(
                    f"Tiled did not start for {str(layout.root)!r}:\n{child.last_words()}",
                    hint=f"see {str(child.log)!r}; the runs wait in the spool and nothing is lost",
                )
            time.sleep(_LOOK_EVERY)
        yield child
    finally:
        child.stop(10.0)


def _deliver(layout: DataLayout, server: Child) -> None:
    """Everything that can be delivered, by the session's own means."""
    from .__main__ import connect
    from ._worker import Worker

    worker = Worker(layout, lambda: connect(layout))
    stalled, before = time.monotonic(), None
    try:
        while worker.deliver() or waiting(layout):
            if (now := [(run.uid, run.delivery) for run in pending_runs(layout)]) != before:
                stalled, before = time.monotonic(), now
            if time.monotonic() - stalled > _STALLED:
                raise CatalogError(
                    f"nothing was delivered for {_STALLED:.0f} s:\n{server.last_words()}",
                    hint="the runs wait in the spool: rebuild again, or start a session, which goes on with them",
                )
            if server.pid is None:
                raise CatalogError(
                    f"Tiled ended while the catalog was rebuilt:\n{server.last_words()}",
                    hint="the runs wait in the spool: rebuild again, or start a session, which goes on with them",
                )
            time.sleep(_LOOK_EVERY)
    finally:
        worker.close()


def waiting(layout: DataLayout) -> bool:
    """Whether a run may still be delivered: not given up, and more than the torn beginning of a file."""
    return any(not run.delivery.parked and _begins(run.path) for run in pending_runs(layout))


def _begins(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline(65_536).endswith(b"\n")
