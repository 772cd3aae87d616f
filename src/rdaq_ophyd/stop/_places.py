"""Where the state of stops is kept between processes, and where running processes can be found."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import tempfile
from pathlib import Path


def state_dir() -> Path:
    """What must survive a restart: ``$RDAQ_STATE``, else ``$XDG_STATE_HOME/rdaq``, else ``~/.local/state/rdaq``."""
    if given := os.environ.get("RDAQ_STATE"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "rdaq"


def run_dir() -> Path:
    """What lives as long as a process: ``$RDAQ_RUN``, else ``$XDG_RUNTIME_DIR/rdaq``, else a directory of the user."""
    if given := os.environ.get("RDAQ_RUN"):
        return Path(given).expanduser()
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "rdaq"
    try:
        user = getpass.getuser()
    except OSError:  # a user id without a name (containers)
        user = str(os.getuid())
    return Path(tempfile.gettempdir()) / f"rdaq-{user}"


def latch_path(rig: str) -> Path:
    """The latch file of a rig."""
    name = re.sub(r"[^\w-]", "_", rig)
    if name != rig:  # two names must not become one
        name += "-" + hashlib.sha256(rig.encode()).hexdigest()[:8]
    return state_dir() / "latch" / name
