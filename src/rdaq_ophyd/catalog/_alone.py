"""One repair or rebuild of a data directory at a time, and no worker beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rdaq_ophyd.errors import CatalogError, DataDirectoryError

from ._layout import DataLayout
from ._lock import ProcessLock


@contextmanager
def alone(layout: DataLayout) -> Iterator[bool]:
    """Keep other repairs out, and the worker too unless one lives; gives whether one does."""
    if not layout.spool.is_dir():
        raise DataDirectoryError(
            f"{str(layout.root)!r} is no data directory: it has no folder 'spool'",
            hint="name the directory that a session was started with (--data), or set RDAQ_DATA",
        )
    layout.prepare()
    ours, worker = ProcessLock(layout.spool / "repair.lock"), ProcessLock(layout.spool / "worker.lock")
    if not ours.acquire():
        raise CatalogError(f"another repair of {str(layout.root)!r} is at work", hint="wait until it has ended")
    try:
        yield not worker.acquire()
    finally:
        worker.release()
        ours.release()
