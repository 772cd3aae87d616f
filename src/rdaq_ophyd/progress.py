"""How far something is, and bars on a terminal that show it: one way for local plans and for those on a server."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["POINTS", "Bars", "Progress"]

POINTS = "points"
"""Name of the progress of a run itself."""
UNKNOWN = math.nan
_KNOWN = "{desc}: {percentage:3.0f}%|{bar}| {n:.6g}/{total:.6g}{unit} [{elapsed}<{remaining}]"
_OPEN = "{desc}: {n:.6g}{unit} [{elapsed}]"


@dataclass(frozen=True)
class Progress:
    """How far a move, an acquisition or a run is.

    :ivar name: of what moves; ``"points"`` for the run itself.
    :ivar current: where it is, in ``units``.
    :ivar initial: where it began.
    :ivar target: where it will end; NaN where nobody knows.
    :ivar elapsed: seconds since it began.
    :ivar done: this is the last one.
    """

    name: str
    current: float = UNKNOWN
    initial: float = 0.0
    target: float = UNKNOWN
    units: str = ""
    elapsed: float = 0.0
    done: bool = False

    @property
    def fraction(self) -> float:
        """0 to 1; NaN where nobody knows."""
        way = self.target - self.initial
        if not math.isfinite(way) or not math.isfinite(self.current):
            return UNKNOWN
        return min(1.0, max(0.0, (self.current - self.initial) / way)) if way else 1.0


class Bars:
    """A bar for each name, on a terminal: call it with each progress, ``close()`` it at the end.

    Moves vanish when they are done; the bar of the points stays.

    :param file: where they are drawn; standard error unless given.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file
        self._bars: dict[str, Any] = {}

    def __call__(self, progress: Progress) -> None:
        """Draw it."""
        bar = self._bars.get(progress.name)
        if bar is None:
            if progress.done and progress.name != POINTS:
                return  # it was over before anybody could see it
            bar = self._bars[progress.name] = self._made(progress)
        bar.n = self._place(progress)
        bar.refresh()
        if progress.done:
            self._bars.pop(progress.name)
            bar.close()

    def _made(self, progress: Progress) -> Any:
        from tqdm import tqdm  # only where bars are drawn

        way = abs(progress.target - progress.initial)
        known = math.isfinite(way) and way > 0
        return tqdm(
            desc=progress.name,
            total=way if known else None,
            unit=f" {progress.units}" if progress.units else "",
            bar_format=_KNOWN if known else _OPEN,
            file=self._file or sys.stderr,
            leave=progress.name == POINTS,
            dynamic_ncols=True,
            miniters=1,
        )

    @staticmethod
    def _place(progress: Progress) -> float:
        gone = abs(progress.current - progress.initial)
        way = abs(progress.target - progress.initial)
        if not math.isfinite(gone):
            return 0.0
        return min(gone, way) if math.isfinite(way) else gone  # overshoot would make the bar explode

    def close(self) -> None:
        """End all that are still there."""
        while self._bars:
            self._bars.popitem()[1].close()

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


type Listener = Callable[[Progress], object]
