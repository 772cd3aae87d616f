"""What a stream missed while its connection was cut."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gap:
    """A connection was cut, and is there again.

    :ivar stream: which: state, documents, frames of a camera, a plan's events.
    :ivar since: when it was cut, seconds since 1970 by this machine's clock.
    :ivar until: when it was there again.
    :ivar lost: items that were missed; 0: none, the stream goes on where it was; None: nobody knows how many.
    :ivar restarted: the server was started anew meanwhile.
    """

    stream: str
    since: float
    until: float
    lost: int | None
    restarted: bool = False

    def __str__(self) -> str:
        lost = "nobody knows how many" if self.lost is None else str(self.lost)
        anew = "; the server was started anew" if self.restarted else ""
        return f"{self.stream}: cut for {self.until - self.since:.1f} s, lost: {lost}{anew}"


type OnGap = Callable[[Gap], object]


def tell(gap: Gap, on_gap: OnGap | None) -> None:
    """Tell whoever wants to know; without anybody, the log."""
    if on_gap is not None:
        on_gap(gap)
    else:
        logger.log(logging.INFO if gap.lost == 0 else logging.WARNING, "%s", gap)
