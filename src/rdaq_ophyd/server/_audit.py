"""Who did what: one line of JSON for each call that changes something, on disk before the call is served."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from ._bucket import Bucket

logger = logging.getLogger(__name__)
STOPS, STOP_RATE = 20, 0.2
"""Stops of one caller that get a line each, at once and a second afterwards: nobody is refused one, and the disk has
an end."""
TOGETHER = 10.0
"""Seconds after which the others are told, as a number."""


class Audit:
    """The log; it is appended to, and never cut.

    :param path: its file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._stops: dict[str, Bucket] = {}
        self._repeats: dict[str, tuple[int, str]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def note(self, who: str, peer: str, call: str, what: str) -> None:
        """Add a line. A disk that does not take it is logged: nobody must wait with a stop for that."""
        line: dict[str, Any] = {"at": time.time(), "who": who, "peer": peer, "call": call, "what": what}
        try:
            os.write(self._file, json.dumps(line).encode() + b"\n")
        except OSError as error:
            logger.error("audit log: %s; not written: %s", error, line)

    def note_stop(self, who: str, peer: str, what: str) -> None:
        """Add a line for a stop; of one who repeats it without end, most are told together. On the event loop."""
        now = time.monotonic()
        if self._stops.setdefault(who, Bucket(STOPS, now)).take(now, STOP_RATE, STOPS):
            self.note(who, peer, "StopAll", what)
            return
        self._repeats[who] = self._repeats.get(who, (0, ""))[0] + 1, peer
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TOGETHER, self._tell_repeats)

    def _tell_repeats(self) -> None:
        self._timer = None
        repeats, self._repeats = self._repeats, {}
        for who, (number, peer) in repeats.items():
            self.note(who, peer, "StopAll", f"{number} more, the last one from there")

    def close(self) -> None:
        """End it; the loop has ended. Idempotent: its descriptor may be another file's by then."""
        self._tell_repeats()
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
