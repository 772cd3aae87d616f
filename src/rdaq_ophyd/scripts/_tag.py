"""A tag that a process hands down to all that it begins, whatever environment, session or folder they get.

It is the hard limit of the size of files (``RLIMIT_FSIZE``): a number above 4 EiB that nobody else has. A process
without privileges can only lower it; one that did is known by that. Linux alone tells the limits of others.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from ._adopt import hard_limit, is_adopted, reaped

if sys.platform == "linux":
    import resource

__all__ = ["end_tagged", "tagged"]
logger = logging.getLogger(__name__)
LEAST = 1 << 62
"""Bytes: no file is as large."""
PASSES = 20
"""Looks at all processes for one that was begun while the others were ended."""


def tagged(pid: int) -> str | None:
    """Tag a process that was begun just now.

    :return: the tag; None where the system has no such limits, or this process has a lower one itself.
    """
    if sys.platform != "linux":
        return None
    tag = LEAST + secrets.randbits(61)
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (tag, tag))
    except (OSError, ValueError) as error:  # it is over already, or the limit here is lower
        logger.info("process %d is not tagged: %s", pid, error)
        return None
    return str(tag)


def end_tagged(tag: str | None, variable: str) -> None:
    """End whatever bears the tag or has the variable in its environment, and what that begins meanwhile.

    :param variable: ``NAME=value``.
    """
    ended: set[int] = set()
    for _ in range(PASSES):
        found = set(_bearers(tag, variable.encode())) - ended  # one whose parent does not look stays to be seen
        for pid in found:
            logger.warning("a process that a script left behind is ended: %d", pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        ended |= found
        reaped(found)  # what they began comes here then
    logger.error("a script left processes behind that begin others faster than they are ended")


def _bearers(tag: str | None, variable: bytes) -> Iterator[int]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (
                hard_limit(place) == tag is not None
                or variable in (place / "environ").read_bytes().split(b"\0")
                or is_adopted(place)
            ):
                yield int(place.name)
        except OSError:  # another user's, or over
            continue
