"""After a crash: files and runs that a dead process left open are mended and closed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from rdaq_ophyd.errors import CatalogError

from ._layout import DataLayout
from ._lock import is_held
from ._runfile import SUFFIX, RunFileReader
from ._told import Told, counted

logger = logging.getLogger(__name__)


def repair(layout: DataLayout, *, act: bool = True) -> Iterator[Told]:
    """Mend what processes that were killed left open below one data directory; say what was found.

    Frame files: the mark of the dead writer is cleared, rows without data are cut off, their exit status becomes
    ``interrupted``. Runs: each gets a stop document, and none of its documents tells of a frame that is not there.
    Whatever a living process has in its hands is left alone. Doing it twice changes nothing more.

    :param act: False only tells what would be done.
    :raises CatalogError: when another repair is at work.
    :raises DataDirectoryError: when there is no such data directory.
    """
    # A session only looks whether there is something to repair: it needs none of these.
    from ._alone import alone
    from ._close_runs import close_runs
    from ._held_files import HeldFiles
    from ._mend_files import mend_files

    with alone(layout) as worker_lives:
        yield from mend_files(layout, HeldFiles(layout), act=act)  # first: the runs are held against the files
        yield from close_runs(layout, worker_lives=worker_lives, act=act)


def left_open(layout: DataLayout) -> int:
    """Runs that :func:`repair` would close, at the cost of a look into two folders."""
    found = len(list(layout.interrupted.glob(f"*{SUFFIX}")))
    for path in layout.spool.glob(f"*{SUFFIX}"):
        try:
            header = RunFileReader(path).header
            found += header is not None and not is_held(layout.owners / header.owner) and not _ended(path)
        except (CatalogError, OSError) as error:  # said again, and loudly, by the repair and by the delivery
            logger.debug("%s", error)
    return found


def hint_at_repair(layout: DataLayout) -> str:
    """What a person should know before a session goes on in this data directory; empty when all is well."""
    if count := left_open(layout):
        return f"{counted(count, 'run')} without an end, whose process is gone → rdaq repair {layout.root}"
    return ""


def _ended(path: Path) -> bool:
    """Whether the last whole line of a run's file is a stop document."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16))
        return b'["stop",' in file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
