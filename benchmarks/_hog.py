"""Owns an instrument, then hangs or is killed: ``python -m benchmarks._hog PORT SECONDS HOW``."""

from __future__ import annotations

import ctypes
import sys
import threading
import time

from benchmarks._stops import METER, open_link
from rdaq_ophyd.stop import halt_all
from rdaq_ophyd.watchdog import Guard


def main(url: str, seconds: str, how: str) -> None:
    """Own the port; then C code keeps Python's lock. Tell when that begins and ends.

    :param how: ``outside``: a stop comes from another process; ``inside``: a thread of this one calls for it;
        ``killed``: it does not hang, and somebody kills it.
    """
    link = open_link(url)
    link.safety.declare(link, lambda: [METER])
    with Guard(bound=60.0) as guard:
        guard.sync()
        if how == "inside":
            threading.Thread(target=_stop_soon, args=(float(seconds) / 10,)).start()
        print(time.monotonic_ns(), flush=True)
        if how == "killed":
            time.sleep(60.0)
        ctypes.PyDLL(None).usleep(int(float(seconds) * 1e6))
        print(time.monotonic_ns(), flush=True)
        sys.stdin.read()
        link.safety.retract(link)
        link.close()


def _stop_soon(seconds: float) -> None:
    time.sleep(seconds)  # over before the lock is let go of: then this thread waits for the lock
    halt_all("benchmark")


if __name__ == "__main__":
    main(*sys.argv[1:])
