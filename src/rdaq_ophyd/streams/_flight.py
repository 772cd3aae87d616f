"""One kick-off: the frames of a camera, the blocks of an analog input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Flight:
    """``count`` rows of the file (0: endless) from row ``start`` on.

    :param timeout: longest time between two of them, s.
    :param resumes: False: a pause is its end, and the plan kicks off what is left.
    :ivar paused: a pause stopped it, and nothing was resumed since.
    :ivar interrupted: a pause stopped it, and nobody has started it again.
    :ivar waiting: a pause lost the wait for it.
    :ivar collecting: a collect began to wait for it instead, and has not ended.
    :ivar ended: an endless one that was completed.
    """

    start: int
    count: int
    timeout: float
    resumes: bool = True
    paused: bool = False
    interrupted: bool = False
    waiting: bool = False
    collecting: bool = False
    ended: bool = False

    def is_over(self, rows: int) -> bool:
        """Whether it has nothing left to take when ``rows`` rows of the file are kept."""
        return self.ended or (self.count > 0 and self.end <= rows)

    @property
    def end(self) -> int:
        """The row after the last."""
        return self.start + self.count
