"""End when the parent ends, whatever way it ended."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable

_LOOK_EVERY = 1.0


class ParentWatch:
    """Calls :attr:`then` once, from a thread, when standard input closes or the parent changes.

    The parent holds the other end of standard input. The second test is for a parent whose forked children keep the
    pipe open after its death.

    :ivar then: what to do; at first to leave at once, which is right while modules are being imported.
    """

    def __init__(self) -> None:
        self.then: Callable[[], object] = lambda: os._exit(0)
        arguments = (sys.stdin.fileno(), os.getppid(), lambda: self.then())
        threading.Thread(target=_watch, args=arguments, name="parent", daemon=True).start()


def _watch(descriptor: int, parent: int, then: Callable[[], object]) -> None:
    while os.getppid() == parent:
        if _readable(descriptor) and not os.read(descriptor, 1024):
            break
    then()


def _readable(descriptor: int) -> bool:
    if sys.platform == "win32":  # select() knows sockets only; the read blocks until the pipe closes
        return True
    return bool(select.select([descriptor], [], [], _LOOK_EVERY)[0])
