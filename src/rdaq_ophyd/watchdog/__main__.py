"""``python -m rdaq_ophyd.watchdog``: started by a session, ends with it."""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys

from ._dog import Charge, Watchdog


def main() -> int:
    """Watch one session."""
    parser = argparse.ArgumentParser(prog="python -m rdaq_ophyd.watchdog", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="our end of the session's socket pair")
    parser.add_argument("--pid", type=int, required=True, help="the session's process")
    parser.add_argument("--bound", type=float, required=True, help="seconds of silence that count as hanging")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="rdaq watchdog: %(message)s")
    # What ends the session must not end us first: we go when it has gone.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    return Watchdog(socket.socket(fileno=options.fd), Charge(options.pid, options.bound)).run()


if __name__ == "__main__":
    sys.exit(main())
