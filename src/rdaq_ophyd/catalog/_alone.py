"""One repair or rebuild of a data directory at a time, and no worker beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rdaq_ophyd.errors import CatalogError, DataDirectoryError

from ._layout import DataLayout
from ._lock import ProcessLock


@contextmanager
def alone(layout: DataLayout, *, files_will_do: bool = False) -> Iterator[bool]:
    """Keep other repairs out, and the worker too unless one lives; gives whether one does.

    :param files_will_do: a data directory may have lost its spool: then ``frames/`` tells that it is one.
    :raises DataDirectoryError: it is none.
    :raises CatalogError: another repair is at work.
    """
    has_files = layout.frames.is_dir()
    if not layout.spool.is_dir() and not (files_will_do and has_files):
        hint = "name the directory that a session was started with (--data), or set RDAQ_DATA"
        if has_files:
            hint += f"; if its spool is lost: rdaq catalog rebuild --from-files {layout.root}"
        lacking = "neither a folder 'spool' nor 'frames'" if files_will_do else "no folder 'spool'"
        raise DataDirectoryError(f"{str(layout.root)!r} is no data directory: it has {lacking}", hint=hint)
    layout.prepare()
    ours, worker = ProcessLock(layout.spool / "repair.lock"), ProcessLock(layout.spool / "worker.lock")
    if not ours.acquire():
        raise CatalogError(f"another repair of {str(layout.root)!r} is at work", hint="wait until it has ended")
    try:
        yield not worker.acquire()
    finally:
        worker.release()
        ours.release()
