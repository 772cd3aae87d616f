"""The catalog's own processes: ``python -m rdaq_ophyd.catalog serve|worker DATA_DIRECTORY``.

The session starts both; by hand they end when standard input closes.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from types import FrameType
from typing import Any

from ._child import ALREADY_HELD
from ._credentials import api_key, server_address
from ._lasting import lasting
from ._layout import DataLayout, data_layout
from ._lock import ProcessLock, is_held
from ._parent import ParentWatch
from ._serve import serve
from ._shared import shared_catalog
from ._stopping import Stopping


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two processes; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rdaq_ophyd.catalog")
    parser.add_argument("role", choices=("serve", "worker"))
    parser.add_argument("data_directory")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    layout = data_layout(chosen.data_directory).prepare()
    return serve(layout) if chosen.role == "serve" else work(layout)


def work(layout: DataLayout) -> int:
    """Deliver the spool until standard input closes or the process is told to end; the exit code."""
    lock = ProcessLock(layout.spool / "worker.lock")
    if not lock.acquire():
        sys.stderr.write("another worker delivers this data directory\n")
        return ALREADY_HELD
    parent = ParentWatch()
    # The run is replayed whole after a failure, so the client's own patience (10 attempts, 45 s) would only delay that.
    os.environ.setdefault("TILED_RETRY_ATTEMPTS", "2")
    os.environ.setdefault("TILED_RETRY_TIMEOUT", "3")
    with lasting():
        from . import _run_writer as _run_writer  # seconds of imports, while the server starts
        from ._worker import Worker

    stopping = Stopping()

    def end(_number: int = 0, _frame: FrameType | None = None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, end)
    parent.then = end
    worker = Worker(layout, lambda: connect(layout))
    worker.run(stopping)
    worker.close()
    lock.release()
    return 0


def connect(layout: DataLayout) -> Any:
    """A client of the root of the catalog: the shared one where the data directory belongs to one.

    :raises ConnectionError: when no server ever said where it listens.
    """
    from tiled.client import from_uri

    if (shared := shared_catalog(layout)) is not None:
        return shared.connect()
    address = server_address(layout)
    if address is None or not is_held(layout.catalog / "server.lock"):
        raise ConnectionError("no server runs")
    # With data sources at once: else each run asks for the root a second time.
    return from_uri(address.uri, api_key=api_key(layout), include_data_sources=True)


if __name__ == "__main__":
    sys.exit(main())
