"""In which order the files of the tests are begun: the longest first, and never only those that wait, or only others.

A worker that is left alone with a long file at the end keeps the others idle, and so do workers that all wait for
instruments at their true pace, while elsewhere programs start that could use the processors.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

#: Those that take more than half a minute, longest first.
LONGEST = (
    "system/test_docs.py",
    "fault/test_catalog_outages.py",
    "system/test_demo.py",
    "system/test_benchmarks.py",
    "conformance/test_declared.py",
    "system/test_view_rig.py",
    "system/test_session.py",
    "system/test_server_scripts.py",
    "system/test_view_troubles.py",
    "system/test_queue.py",
    "system/test_shell.py",
    "unit/testing/test_conformance.py",
    "conformance/test_esp300.py",
    "system/test_catalog_reading.py",
    "system/test_export.py",
    "system/test_camera_reading.py",
    "system/test_serve_operations.py",
)
#: Folders whose tests start programs; those of the others mostly wait.
BUSY = ("system/", "fault/")
#: Where the last of these is begun, of all: the end is for short ones.
END = 0.85


def in_turns(items: Iterable[pytest.Item], root: str) -> list[pytest.Item]:
    """The same tests, each file's together and in its order."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0].removeprefix(root), []).append(item)
    rank = {name: number for number, name in enumerate(LONGEST)}
    names = sorted(files, key=lambda name: rank.get(name, len(rank)))
    busy = [name for name in names if name.startswith(BUSY)]
    others = [name for name in names if not name.startswith(BUSY)]
    share = {name: n / len(others) for n, name in enumerate(others)}
    share |= {name: END * n / len(busy) for n, name in enumerate(busy)}
    return [item for name in sorted(names, key=share.__getitem__) for item in files[name]]
