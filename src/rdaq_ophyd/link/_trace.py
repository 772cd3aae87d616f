"""The last bytes on a link, for messages and for ``rdaq trace``."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from typing import Literal, NamedTuple

KEPT = 200
"""How many entries are kept."""

Kind = Literal["out", "preempt", "in", "drop", "state"]


class TraceEntry(NamedTuple):
    """One thing that happened.

    :param at: when, in seconds since 1970.
    :param kind: ``out`` written in turn, ``preempt`` written past everything, ``in`` received, ``drop`` received but
        no answer to a question, ``state`` a change of the link's state.
    :param data: the bytes; for ``state`` its name.
    """

    at: float
    kind: Kind
    data: bytes

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.at).astimezone().strftime("%H:%M:%S.%f")
        shown = self.data.decode() if self.kind == "state" else repr(self.data)[1:]
        return f"{when}  {self.kind:<7}  {shown}"


class Trace:
    """A ring of what happened last; any thread may add."""

    def __init__(self) -> None:
        self._ring: deque[tuple[float, Kind, bytes]] = deque(maxlen=KEPT)

    def add(self, kind: Kind, data: bytes) -> None:
        """Something happened."""
        self._ring.append((time.time(), kind, data))

    def entries(self) -> tuple[TraceEntry, ...]:
        """What happened, oldest first."""
        return tuple(TraceEntry(*entry) for entry in self._ring.copy())
