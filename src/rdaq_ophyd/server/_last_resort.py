"""The end of a process in bounded time, whatever a thread of it still waits for."""

from __future__ import annotations

import os
import sys
import threading
import time


class LastResort:
    """Ends the process without any more of it, if it has not ended by itself in time.

    The interpreter waits at its end for every thread of a pool; one that hangs would keep the process, which serves
    nobody any more, for ever.
    """

    def __init__(self) -> None:
        self._end, self._code = 0.0, 0
        self._sooner = threading.Condition()
        self._thread = threading.Thread(target=self._watch, name="last-resort", daemon=True)

    def end_within(self, seconds: float, code: int | None = None) -> None:
        """So many seconds from now at the latest, in place of what was said before.

        :param code: of the process; as before unless given.
        """
        with self._sooner:
            self._end = time.monotonic() + seconds
            self._code = self._code if code is None else code
            self._sooner.notify()
        if not self._thread.is_alive():
            self._thread.start()

    def closed(self, seconds: float) -> None:
        """What was to be ended has ended: only so many seconds more, if it was told to end."""
        if self._thread.is_alive():
            self.end_within(seconds)

    def _watch(self) -> None:
        with self._sooner:
            while (left := self._end - time.monotonic()) > 0:
                self._sooner.wait(left)
        names = ", ".join(thread.name for thread in threading.enumerate() if thread is not self._thread)
        sys.stderr.write(f"rdaq: the process is ended although something in it hangs; its threads: {names}\n")
        sys.stderr.flush()
        os._exit(self._code)
