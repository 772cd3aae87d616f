"""Which files a living process has open, so that nothing is mended under a writer's hands."""

from __future__ import annotations

import os
from pathlib import Path

from ._layout import DataLayout
from ._lock import is_held
from ._spoolfile import documents_of, path_of

_PROC = Path("/proc")


class HeldFiles:
    """The files of this data directory that some process may still write.

    These are all files that a process of this machine has open (where ``/proc`` tells), and all files of runs whose
    owner lives, on whatever machine. Without ``/proc`` they are all files, as long as any owner lives.

    :param layout: the data directory.
    """

    def __init__(self, layout: DataLayout) -> None:
        self._open = _open_files()
        owners = [path.name for path in layout.owners.glob("*") if is_held(path)]
        self._all = self._open is None and bool(owners)
        self._told = _files_of(layout, set(owners))

    def holds(self, path: Path) -> bool:
        """Whether ``path`` may still be written."""
        real = os.path.realpath(path)
        return self._all or real in (self._open or ()) or real in self._told


def _open_files() -> set[str] | None:
    if not (_PROC / "self" / "fd").is_dir():
        return None
    found: set[str] = set()
    for folder in _PROC.glob("[0-9]*/fd"):
        try:
            found.update(os.readlink(link) for link in folder.iterdir())
        except OSError:  # it ended, or belongs to another user
            continue
    return found


def _files_of(layout: DataLayout, owners: set[str]) -> set[str]:
    """Files that the open runs of these owners tell of."""
    found = set()
    for path in layout.spool.glob("*.jsonl") if owners else ():
        for name, document in documents_of(path):
            if name == "stream_resource" and "uri" in document:
                found.add(os.path.realpath(path_of(document["uri"])))
    return found
