"""Outputs that nobody reads any more, as behind ``| head``."""

from __future__ import annotations

import os
import select
import sys

__all__ = ["silenced"]


def silenced() -> bool:
    """Lead standard output and error to nowhere, where they are pipes that nobody reads; whether one was."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        poll.register(stream.fileno(), 0)  # that the other end is closed is told unasked
    broken = poll.poll(0)
    if broken:  # what Python would still write at its end would fail anew
        with open(os.devnull, "w") as nowhere:
            for output, _ in broken:
                os.dup2(nowhere.fileno(), output)
    return bool(broken)
