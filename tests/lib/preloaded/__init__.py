"""Tiled without its imports, which take a core for some seven seconds: forked from a process that has them.

``make test`` starts Tiled some forty times. One process imports it once for all workers and forks. A file
``sitecustomize.py``, which Python runs at each start, hands new processes of Tiled's over to it, and those that are
begun with ``python -X preloaded``. All else is as ever: arguments, environment, files, signals and exit code are the
same, and a process dies with the one whose place it took.

Where the environment has ``COMMANDS``, for a test of what many commands do one after another, ``rdaq`` and plans are
forked, too. They have no terminal, and their own process number.

Programs that coverage traces are started from scratch, and so are all in a run of a single process. A test that looks
at what a process uses asks ``at_work`` for the one that works.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from untraced import untraced

#: Where a process finds the socket of the one that forks.
VARIABLE = "RDAQ_TEST_PRELOADED"
#: Set to anything: commands of ours are forked, too.
COMMANDS = f"{VARIABLE}_COMMANDS"


def preload() -> Callable[[], None]:
    """Start it for all processes that this one and its children begin from now on; what ends it."""
    folder = tempfile.TemporaryDirectory(prefix="rdaq-preloaded-")
    address = str(Path(folder.name) / "socket")
    here = Path(__file__).parent
    path = os.environ.get("PYTHONPATH", "")
    command = [sys.executable, "-P", str(here / "forking.py"), address]
    with untraced():
        forking = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert forking.stdin is not None
    assert forking.stdout is not None
    forking.stdout.read(1)  # it listens
    os.environ[VARIABLE] = address
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(here / "site"), path]))

    def end() -> None:
        os.environ.pop(VARIABLE, None)
        with forking:
            forking.stdin.close()
        folder.cleanup()

    return end


def at_work(pid: int) -> int:
    """The process that does the work of another, which may be the same."""
    told = Path(f"{os.environ.get(VARIABLE, '')}.{pid}")
    return int(told.readlink().name) if told.is_symlink() else pid
