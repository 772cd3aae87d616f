"""Waiting for what pylon has, without pylon's own time-outs.

Those are POSIX timers: pylon (26.9, Linux) has SIGALRM sent to the whole process, and puts its handler in place of the
one that was there. Whoever else uses that signal sees its alarm go off early or never, and pylon's call waits for ever
where another handler is set meanwhile. Descriptors need no signal. (It still takes the handler when grabbing starts.)
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable
from typing import Any

POLLED = sys.platform == "linux"
"""Windows knows no SIGALRM; what pylon's descriptors are good for on macOS was not tried."""
LOOK = 0.02
"""Seconds after which it is looked whether the camera still grabs: the end of grabbing makes no descriptor ready."""
AGAIN = 2e-3
"""Seconds after which a camera that was not ready for a trigger is asked again."""


class Results:
    """What a camera grabs, for one thread.

    :param camera: an ``InstantCamera`` that is open.
    :param handling: what it does where there is none: ``TimeoutHandling_Return``.
    """

    def __init__(self, camera: Any, handling: Any) -> None:
        self._handling = handling
        self._object = camera.GetGrabResultWaitObject()  # its descriptor is valid as long as it
        if POLLED:
            self._poll = select.poll()
            self._poll.register(self._object.GetFd(), self._object.GetReadyMask())

    def next(self, camera: Any, timeout: float) -> Any:
        """The next one; an invalid one if none came in ``timeout`` seconds, or the camera grabs no more."""
        if not POLLED:
            return camera.RetrieveResult(max(1, int(timeout * 1000)), self._handling)
        end = time.monotonic() + timeout
        while not self._poll.poll(max(0.0, min(LOOK, end - time.monotonic())) * 1000):
            if time.monotonic() >= end or not camera.IsGrabbing():
                break
        return camera.RetrieveResult(0, self._handling)


def ready_for_trigger(camera: Any, handling: Any, timeout: float, *, wanted: Callable[[], bool]) -> bool:
    """Whether the camera takes a software trigger, at the latest after ``timeout`` seconds.

    :param wanted: whether it still is to get one.
    """
    end = time.monotonic() + timeout
    while wanted():
        if camera.WaitForFrameTriggerReady(0, handling):
            return wanted()
        if time.monotonic() >= end:
            break
        time.sleep(AGAIN)
    return False
