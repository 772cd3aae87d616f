"""Which machine this is: addresses of a server's machine are of use on that one alone."""

from __future__ import annotations

import socket
import uuid
from pathlib import Path


def this_host() -> str:
    """Tells this machine from others, until its next boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux
        return f"{socket.gethostname()}-{uuid.getnode():x}"
