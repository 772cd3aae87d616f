"""bluesky-httpserver before a queue: a child process on 127.0.0.1 that asks for a key."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rdaq_ophyd.errors import QueueError

from ._manager_process import check_free

__all__ = ["http_server"]
KEY = "QSERVER_HTTP_SERVER_SINGLE_USER_API_KEY"
PROGRAM = """\
from rdaq_ophyd.catalog._parent import ParentWatch
ParentWatch()
from rdaq_ophyd.queue._redaction import NoKeys
NoKeys.install()
from bluesky_httpserver.server import start_server
start_server()
"""
ENDS = 10.0
"""Seconds for it to end when it is told to."""


@contextlib.contextmanager
def http_server(port: int | None, folder: Path, control: str, info: str, log: int | None = None) -> Iterator[str]:
    """Its address in words while the block runs; empty where none is wanted.

    Who may come in: whoever has the key in ``http_key`` of the folder, or as ``$QSERVER_HTTP_SERVER_CONFIG`` says.

    :param log: descriptor for what it says; None: our standard error.
    :raises QueueError: it is not installed, or the port is taken.
    """
    if port is None:
        yield ""
        return
    if importlib.util.find_spec("bluesky_httpserver") is None:
        raise QueueError("bluesky-httpserver is not installed", hint="pip install 'rdaq-ophyd[queue-http]'")
    check_free(port)
    words = [sys.executable, "-c", PROGRAM, "--host", "127.0.0.1", "--port", str(port)]
    variables = {**os.environ, "QSERVER_ZMQ_CONTROL_ADDRESS": control, "QSERVER_ZMQ_INFO_ADDRESS": info}
    who = "as $QSERVER_HTTP_SERVER_CONFIG says"
    if "QSERVER_HTTP_SERVER_CONFIG" not in variables and KEY not in variables:
        path = folder / "http_key"
        variables[KEY], who = _key(path), f"its key is in {path}"
    # Logins, and the keys that people made for themselves, outlive a restart.
    variables.setdefault("QSERVER_HTTP_SERVER_DATABASE_URI", f"sqlite:///{folder / 'http.sqlite'}")
    if "QSERVER_HTTP_SERVER_SERVER_SECRET_KEYS" not in variables:
        variables["QSERVER_HTTP_SERVER_SERVER_SECRET_KEYS"] = _key(folder / "http_secret")
    says = sys.stderr.fileno() if log is None else log
    child = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=says,
        stderr=None if log is None else log,
        env=variables,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}  {who}"
    finally:
        child.terminate()
        try:
            child.wait(ENDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdin is not None:
            child.stdin.close()


def _key(path: Path) -> str:
    """The same at each start; readable by its owner alone. Letters and digits, as the server wants."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        key = secrets.token_hex(32)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(key)
        return key
