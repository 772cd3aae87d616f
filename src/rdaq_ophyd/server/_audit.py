"""Who did what: one line of JSON for each call that changes something, on disk before the call is served."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class Audit:
    """The log; it is appended to, and never cut.

    :param path: its file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, who: str, peer: str, call: str, what: str) -> None:
        """Add a line. A disk that does not take it is logged: nobody must wait with a stop for that."""
        line: dict[str, Any] = {"at": time.time(), "who": who, "peer": peer, "call": call, "what": what}
        try:
            os.write(self._file, json.dumps(line).encode() + b"\n")
        except OSError as error:
            logger.error("audit log: %s; not written: %s", error, line)

    def close(self) -> None:
        """End it."""
        os.close(self._file)
