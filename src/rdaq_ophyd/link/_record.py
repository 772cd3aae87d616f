"""What is kept of the bytes on a link: counts and a trace."""

from __future__ import annotations

from ._statistics import Counters
from ._trace import Trace


class Record:
    """Kept for as long as the link exists, over every opening of its port."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.trace = Trace()

    def wrote(self, command: bytes, *, preempt: bool) -> None:
        """Bytes went out."""
        self.counters.bytes_out += len(command)
        if preempt:
            self.counters.preempted += 1
            self.counters.writes += 1
        self.trace.add("preempt" if preempt else "out", command)

    def read(self, data: bytes) -> None:
        """Bytes came in."""
        self.counters.bytes_in += len(data)
        self.trace.add("in", data)
