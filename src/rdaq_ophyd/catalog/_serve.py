"""The server process: Tiled for one data directory, as long as its parent lives."""

from __future__ import annotations

import os
import socket
import sys
import threading

from ._child import ALREADY_HELD
from ._climbing import WithoutClimbing
from ._credentials import api_key
from ._database import index_tables, prepare_database
from ._files import read_json, write_json
from ._lasting import lasting
from ._layout import DataLayout
from ._lock import ProcessLock
from ._parent import ParentWatch
from ._server_config import server_config

HOST = "127.0.0.1"
# Seconds that open streams get to end before the server goes.
_GRACE = 2
# Longer than the 5 s after which the clients themselves drop an idle connection: else one closes as it is used.
_KEEP_ALIVE = 30


def serve(layout: DataLayout) -> int:
    """Serve until standard input closes or the process is told to end; the exit code.

    Writes ``catalog/server.json`` when it is ready.
    """
    lock = ProcessLock(layout.catalog / "server.lock")
    if not lock.acquire():
        sys.stderr.write("another Tiled serves this data directory\n")
        return ALREADY_HELD
    parent = ParentWatch()
    (layout.catalog / "server.json").unlink(missing_ok=True)  # of a server that was killed
    listening = _listen(layout)

    with lasting():
        import uvicorn
        from tiled.config import Config
        from tiled.server.app import build_app_from_config

    ended = threading.Event()
    parent.then = ended.set
    (layout.catalog / "arrays").mkdir(exist_ok=True)
    settings = server_config(layout)
    write_json(layout.catalog / "config.yml", settings)  # JSON is YAML; for people who look, the key is not in it
    settings["authentication"]["single_user_api_key"] = api_key(layout)
    prepare_database(settings["catalog"]["uri"])
    index_tables(layout.catalog / "tables.db")
    app = build_app_from_config(Config.model_validate(settings))
    uri = f"http://{HOST}:{listening.getsockname()[1]}/api/v1"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            write_json(layout.catalog / "server.json", {"uri": uri, "pid": os.getpid()})

    # No access log: it would hold keys that people put into addresses.
    server = Server(
        uvicorn.Config(
            WithoutClimbing(app),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=_KEEP_ALIVE,
        )
    )

    def end() -> None:
        server.should_exit = True

    parent.then = end
    if not ended.is_set():
        server.run(sockets=[listening])
    (layout.catalog / "server.json").unlink(missing_ok=True)
    lock.release()
    return 0


def _listen(layout: DataLayout) -> socket.socket:
    """A listening socket on the port of the last time where that is free, so that addresses stay valid."""
    remembered = layout.catalog / "port.json"
    last = int((read_json(remembered) or {}).get("port", 0))
    for port in (last, 0):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            break
        except OSError:
            listening.close()
            if port == 0:
                raise
    write_json(remembered, {"port": listening.getsockname()[1]})
    return listening
