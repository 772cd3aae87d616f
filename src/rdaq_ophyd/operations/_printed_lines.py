"""Lines of what is printed piece by piece."""

from __future__ import annotations

import threading

from ._json_lines import LONGEST


class PrintedLines:
    """Puts pieces together to lines, which end as a progress bar ends them too: with ``\\n`` or ``\\r``.

    Of a line that does not end its beginning is kept, as much as a record may have. From any thread.
    """

    def __init__(self) -> None:
        self._lock, self._rest = threading.RLock(), ""

    def of(self, text: str) -> list[str]:
        """The lines that are whole with this piece; none that is empty."""
        first, *others = text.replace("\r", "\n").split("\n")
        with self._lock:
            if len(self._rest) < LONGEST:
                self._rest = (self._rest + first)[:LONGEST]
            if not others:
                return []
            lines = [self._rest, *others[:-1]]
            self._rest = others[-1][:LONGEST]
        return [line for line in lines if line.strip()]
