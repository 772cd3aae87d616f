"""The latch of a rig, for as long as a session is open."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rdaq_ophyd.stop import latch, latch_path

logger = logging.getLogger(__name__)
HINT = "look at the bench; then session.reset('what you found'), in the shell %reset_stop, or `rdaq reset REASON`"


@contextmanager
def latched(rig: str, *, person: bool) -> Iterator[None]:
    """Keep the latch in the rig's file while the block runs; say when everything is stopped already.

    :param person: tell it on stderr, too.
    """
    latch.attach(latch_path(rig))
    try:
        if latch.tripped:
            logger.warning("starts stopped: %s; %s", latch.why, HINT)
            if person:
                sys.stderr.write(f"STOPPED: {latch.why}\n  plans and moves are refused; {HINT}\n")
        yield
    finally:
        latch.detach()
