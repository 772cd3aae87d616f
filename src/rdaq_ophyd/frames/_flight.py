"""A flight of a camera: the frames of one kick-off."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Flight:
    """One kick-off: ``count`` frames (0: endless) from row ``start`` on."""

    start: int
    count: int
    timeout: float
    interrupted: bool = False
    waiting: bool = False
    ended: bool = False

    def is_over(self, rows: int) -> bool:
        """Whether it has nothing left to take when ``rows`` rows of the file are kept."""
        return self.ended or (self.count > 0 and self.end <= rows)

    @property
    def end(self) -> int:
        """The row after the last."""
        return self.start + self.count
