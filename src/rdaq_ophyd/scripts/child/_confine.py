"""What this process may take of the machine. It is no sandbox: it is the same user, and sees the same files."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

NICENESS = 5
"""Behind the rig, which must not wait for what a script computes."""
FILES = 256
"""Open files at a time."""
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def confine(memory: int, parent: int) -> None:
    """Bound memory, files and priority; end with the rig.

    :param memory: bytes of address space.
    :param parent: the rig's process.
    """
    os.nice(NICENESS)
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, FILES)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a machine without it ends whom it likes when memory runs out
            Path("/proc/self/oom_score_adj").write_text("1000")
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the rig is gone")


def _limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(what, (value, value))
