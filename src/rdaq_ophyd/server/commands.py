"""``rdaq serve``: the rig as a service, until it is told to end."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from rdaq_ophyd.scripts import Limits
from rdaq_ophyd.startup import report_failures, start

from ._access import LOOPBACK, Access, read_tokens
from ._server import serve as serve_session

__all__ = ["serve"]


def serve(
    profile: str,
    *,
    data_dir: str | None,
    operator: str | None,
    host: str = LOOPBACK,
    port: int,
    tokens: str | None,
    certificate: str | None,
    key: str | None,
    scripts: Limits | None = None,
) -> int:
    """Serve a profile. Ctrl-C, SIGTERM and the end of its terminal stop everything first.

    :param port: 0 for any that is free; the address is the first line of the output.
    :param scripts: how much a script may have.
    :raises NotAllowed: another address than loopback without tokens and TLS.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    access = Access(
        host,
        port,
        read_tokens(tokens) if tokens else (),
        Path(certificate) if certificate else None,
        Path(key) if key else None,
    )
    with start(profile, data_dir=data_dir, operator=operator) as session:
        server = serve_session(session, access, scripts)
        report_failures(session.rig.failures)
        sys.stdout.write(f"{server.address}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()  # the handlers of the session's signals end it
        except KeyboardInterrupt:
            sys.stderr.write("interrupted: closing\n")
    return 0
