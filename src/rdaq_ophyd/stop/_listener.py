"""Every process that owns instruments takes requests on this machine: stop, reset, status, trace."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rdaq_ophyd.errors import RdaqError

from ._latch import latch
from ._runfile import RunFile, command_line

logger = logging.getLogger(__name__)
LONGEST = 1 << 16
"""Bytes of a request at most."""
PATIENCE = 5.0
"""Seconds that a caller may take to send its request, all of it."""
CALLERS = 16
"""Callers that may be sending at once; one more ends the oldest of them."""

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Answers = dict[str, Answer]


class Listener:
    """Answers requests on 127.0.0.1 in threads of its own, so that it works while everything else hangs.

    A request is one line of JSON: ``{"token": …, "do": "stop", …}``; so is the answer. A wrong token gets none.

    :param answers: what to do for each word.
    :param watches: pid of the process that this one watches.
    """

    def __init__(self, answers: Answers, *, watches: int = 0) -> None:
        self._answers = answers
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.runfile = RunFile(
            os.getpid(),
            self._socket.getsockname()[1],
            what=command_line(),
            watches=watches,
            latch=str(latch.path or ""),
        )
        self._closing = False
        self._sending: dict[socket.socket, None] = {}
        self._thread = threading.Thread(target=self._serve, name="rdaq-stop-listener", daemon=True)
        self._thread.start()
        self._write()

    def keep(self, latch_file: str) -> None:
        """Tell others which latch this process obeys."""
        self.runfile = replace(self.runfile, latch=latch_file)
        self._write()

    def _write(self) -> None:
        try:
            self.runfile.write()
        except OSError as error:
            logger.error("%s: cannot be written, so `rdaq stop` does not find this process: %s", run_path(error), error)

    def close(self) -> None:
        """Take no more requests."""
        self.runfile.remove()
        self._closing = True
        with contextlib.suppress(OSError):  # wakes `accept`; when that fails, it is awake already
            socket.create_connection(("127.0.0.1", self.runfile.port), timeout=1.0).close()
        if threading.current_thread() is not self._thread:
            self._thread.join(PATIENCE)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            if self._closing:
                caller.close()
                return
            self._make_room()
            self._sending[caller] = None
            threading.Thread(target=self._talk, args=(caller,), name="rdaq-stop-request", daemon=True).start()

    def _make_room(self) -> None:
        """Callers that send nothing, or a byte now and then, must not keep out those who have something to say."""
        while len(self._sending) >= CALLERS:
            oldest = next(iter(self._sending))
            self._sending.pop(oldest, None)
            with contextlib.suppress(OSError):  # it has just gone by itself
                oldest.shutdown(socket.SHUT_RDWR)

    def _talk(self, caller: socket.socket) -> None:
        try:
            with caller:
                request = receive(caller, PATIENCE, LONGEST)
                self._sending.pop(caller, None)
                if request is not None and self._knows(request.get("token")):
                    caller.settimeout(PATIENCE)
                    send(caller, self._answer(request))
        except OSError as error:
            logger.info("a request was not answered: %s", error)
        finally:
            self._sending.pop(caller, None)

    def _knows(self, token: object) -> bool:
        return hmac.compare_digest(str(token).encode(), self.runfile.token.encode())

    def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self._answers.get(str(request.get("do")))
        if answer is None:
            return {"error": f"unknown request {request.get('do')!r}; known: {', '.join(sorted(self._answers))}"}
        try:
            return answer(request)
        except RdaqError as error:
            return {"error": str(error)}
        except Exception as error:  # the caller must hear of it, and the next one be served
            logger.exception("request %r", request.get("do"))
            return {"error": f"{type(error).__name__}: {error}"}


def receive(peer: socket.socket, seconds: float, longest: int) -> dict[str, Any] | None:
    """One line of JSON from the other end; None when it sent something else, or nothing.

    :param seconds: for all of it.
    :param longest: bytes.
    :raises TimeoutError: it took longer.
    """
    data, end = b"", time.monotonic() + seconds
    while not data.endswith(b"\n"):
        peer.settimeout(max(0.001, end - time.monotonic()))
        chunk = peer.recv(65536)
        if not chunk or len(data) > longest:
            return None
        data += chunk
        if time.monotonic() > end:
            raise TimeoutError("the line did not end")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def send(peer: socket.socket, message: Mapping[str, Any]) -> None:
    """One line of JSON to the other end."""
    peer.sendall(json.dumps(message).encode() + b"\n")


def run_path(error: OSError) -> str:
    """The file that an error is about."""
    return str(error.filename or "the run directory")
