"""What an instrument took since it was made, over all its files."""

from __future__ import annotations


class Totals:
    """Counts that only grow, from counts that begin anew with each file.

    :ivar written: rows that were flushed into a file, those that were taken back later included.
    :ivar lost: what the instrument lost.
    :ivar discarded: what was taken, and is in no file: thrown away by a pause, a stop or the end.
    """

    def __init__(self) -> None:
        self.written = self.lost = self.discarded = 0
        self._last = (0, 0, 0)

    def note(self, written: int, lost: int, discarded: int) -> None:
        """What is counted now for the file that is open."""
        now = (written, lost, discarded)
        grown = [max(0, new - old) for new, old in zip(now, self._last, strict=True)]
        self.written += grown[0]
        self.lost += grown[1]
        self.discarded += grown[2]
        self._last = now
