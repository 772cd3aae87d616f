"""What a script prints, line by line, and never more than is bearable."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

LONGEST = 2000
"""Characters of a line; the rest of it is left out."""
A_SECOND = 200
"""Lines a second that are told, on average; what comes quicker for longer is counted and left out."""
BURST = 2000
"""Lines that may come at once."""
CHUNK = 1 << 16
TAIL = 8
"""Lines that a failure names."""


class Lines:
    """Lines out of bytes.

    :param tell: called with each.
    :ivar is_open: more may come.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._rest, self._skipping = b"", False
        self._allowed, self._at = float(BURST), time.monotonic()
        self._left_out = 0
        self._last: deque[str] = deque(maxlen=TAIL)
        self.is_open = True

    @property
    def tail(self) -> str:
        """The last lines."""
        return "\n".join(self._last)

    def read(self, pipe: Any) -> bool:
        """Take what a pipe that does not block has, at most 64 KiB; whether there was something."""
        try:
            data = pipe.read(CHUNK)
        except OSError:
            data = b""
        if data is None:
            return False
        if not data:
            self.is_open = False
            return False
        self.feed(data)
        return True

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not self._skipping:
                self._line(line)
            self._skipping = False
        if len(self._rest) > 4 * LONGEST:  # a character has four bytes at most
            if not self._skipping:
                self._line(self._rest)
            self._rest, self._skipping = b"", True

    def close(self) -> None:
        """Tell what is left."""
        if self._rest and not self._skipping:
            self._line(self._rest)
        self._rest = b""
        self._tell_left_out()

    def _line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}… {len(text) - LONGEST} more"
        self._last.append(text)
        now = time.monotonic()
        self._allowed = min(BURST, self._allowed + (now - self._at) * A_SECOND)
        self._at = now
        if self._allowed < 1:
            self._left_out += 1
            return
        self._allowed -= 1
        self._tell_left_out()
        self._tell(text)

    def _tell_left_out(self) -> None:
        if self._left_out:
            self._tell(f"[{self._left_out} lines were left out]")
            self._left_out = 0
