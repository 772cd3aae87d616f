"""File descriptors: connections may have so many, and never those that instruments, files and a stop need."""

from __future__ import annotations

import logging
import sys

from rdaq_ophyd.errors import RdaqError

logger = logging.getLogger(__name__)
PAGE = 128
"""For connections of the page."""
KEPT = 256
"""For everything else: ports, frame files, the catalog, metrics, and the local `rdaq stop`."""


def ensure(connections: int) -> None:
    """Let this process have as many as it may come to need; what it was given is raised, never lowered.

    :param connections: to gRPC.
    :raises RdaqError: it may not have so many.
    """
    if sys.platform == "win32":  # no such limit
        return
    import resource

    wanted = connections + PAGE + KEPT
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise RdaqError(
            f"{connections} connections and the rig need {wanted} file descriptors; this process may have {hard}",
            hint=f"allow more (`ulimit -n {wanted}`, LimitNOFILE= of its unit), or give --limit connections=NUMBER",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    logger.info("file descriptors: up to %d, instead of %d", wanted, soft)
