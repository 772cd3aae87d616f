"""Nobody is made to write ``with``: a program that just ends has not died, and its watchdog must not say so."""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401  registers its own end first, so that it comes after ours
import logging
import threading
from typing import Protocol

logger = logging.getLogger(__name__)


class Closable(Protocol):
    """Something that is to be closed before the interpreter ends."""

    def close(self) -> None:
        """Close it; idempotent."""
        ...


_open: dict[int, Closable] = {}


def close_at_exit(what: Closable) -> None:
    """Close it when the main program ends, unless it was closed before."""
    _open[id(what)] = what


def forget(what: Closable) -> None:
    """It was closed."""
    _open.pop(id(what), None)


def _close_all() -> None:
    for what in list(_open.values()):
        try:
            what.close()
        except Exception:  # the interpreter ends whatever this one does
            logger.exception("at the end of the program")


# `atexit` comes too late: after it began no thread takes work any more, and closing a camera or a catalog needs one.
threading._register_atexit(_close_all)  # type: ignore[attr-defined]
