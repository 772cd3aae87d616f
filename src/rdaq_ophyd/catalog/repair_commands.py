"""``rdaq repair`` and ``rdaq catalog rebuild``."""

from __future__ import annotations

import sys

from ._backlog import pending_runs
from ._layout import DataLayout

__all__ = ["rebuild", "repair"]


def repair(layout: DataLayout, *, dry_run: bool) -> int:
    """Mend and close what dead processes left open, and say what; the exit code.

    :return: 1 when something could not be repaired.
    """
    from ._repair import repair as mend

    lines = []
    for line in mend(layout, act=not dry_run):
        _out(str(line))
        lines.append(line.kind)
    if not lines:
        _out(f"nothing to repair in {layout.root}")
    elif dry_run:
        _out("nothing was changed; without --dry-run it will be")
    elif "changed" in lines:
        _out("closed runs reach the catalog with the next session, or with the one that runs now")
    return int("failed" in lines)


def rebuild(layout: DataLayout, *, from_files: bool) -> int:
    """Make the catalog anew from the record on disk, and say what was done; the exit code.

    :return: 1 when some run could not be delivered.
    """
    from ._rebuild import rebuild as make

    for line in make(layout, from_files=from_files):
        _out(line)
    return int(bool(pending_runs(layout)))


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
