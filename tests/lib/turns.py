"""In which order the files of the tests are begun: the longest first, and never only those that wait, or only others.

A worker that is left alone with a long file at the end keeps the others idle, and so do workers that all wait for
instruments at their true pace, while elsewhere programs start that could use the processors.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from xdist.scheduler import LoadFileScheduling

#: What the files of a folder share takes long to start: one process takes them all.
TOGETHER = ("system/scaled/",)
#: Those that take more than half a minute where four share two processors, longest first.
LONGEST = (
    "system/test_docs.py",
    "system/scaled/",
    "system/test_session.py",
    "conformance/test_declared.py",
    "system/test_view_troubles.py",
    "system/test_camera_reading.py",
    "fault/test_scripts.py",
    "system/test_queue.py",
    "system/test_catalog_reading.py",
    "fault/test_catalog_outages.py",
    "system/test_serve_restart.py",
    "system/test_shell.py",
    "conformance/test_esp300.py",
    "system/test_export.py",
    "conformance/test_ell14.py",
    "system/test_benchmarks.py",
    "unit/testing/test_conformance.py",
    "fault/test_watchdog.py",
    "system/test_scripts.py",
    "unit/devices/test_newport_1830c.py",
    "system/test_view_image.py",
    "system/test_analysis_elsewhere.py",
    "system/test_demo.py",
    "system/remote/test_commands.py",
    "system/remote/test_callbacks.py",
    "system/test_view_charts.py",
    "system/test_view_rig.py",
)
#: Folders whose tests start programs; those of the others mostly wait.
BUSY = ("system/", "fault/")
#: Where the last of these is begun, of all: the end is for short ones.
END = 0.85


def together(name: str) -> str:
    """What is begun as one: a file, or the folder that it is in.

    :param name: below ``tests/``.
    """
    return next((folder for folder in TOGETHER if name.startswith(folder)), name)


class TogetherScheduling(LoadFileScheduling):
    """A worker takes a file at a time, or all files of a folder that is in ``TOGETHER``."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        root, slash, name = file.partition("/")
        return f"{root}{slash}{together(name)}"


def in_turns(items: Iterable[pytest.Item], root: str) -> list[pytest.Item]:
    """The same tests, each file's together and in its order."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(together(item.nodeid.partition("::")[0].removeprefix(root)), []).append(item)
    rank = {name: number for number, name in enumerate(LONGEST)}
    names = sorted(files, key=lambda name: rank.get(name, len(rank)))
    busy = [name for name in names if name.startswith(BUSY)]
    others = [name for name in names if not name.startswith(BUSY)]
    share = {name: n / len(others) for n, name in enumerate(others)}
    share |= {name: END * n / len(busy) for n, name in enumerate(busy)}
    return [item for name in sorted(names, key=share.__getitem__) for item in files[name]]
