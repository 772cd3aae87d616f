"""Places for the WebSockets of pages: a share for each client, and those that ask for nothing make room for others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MOST = 96
"""Of all clients together. The page's other connections have the rest, and with them a stop by POST."""
MOST_EACH = 64
"""Of one client: who shows a token, without tokens an address. A page has four at most."""


@dataclass(eq=False)
class _Place:
    who: str
    is_idle: Callable[[], bool]
    end: Callable[[], object]


class Places:
    """For one event loop.

    :param most: in all.
    :param most_each: of one client.
    """

    def __init__(self, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._most, self._most_each = most, most_each
        self._taken: dict[_Place, None] = {}

    def __len__(self) -> int:
        return len(self._taken)

    @contextmanager
    def one(self, who: str, is_idle: Callable[[], bool], end: Callable[[], object]) -> Iterator[bool]:
        """A place while the block runs; False where there is none.

        Where all are taken, the oldest that asks for nothing is ended: of the same client where that has its whole
        share, else of whoever has most.

        :param who: the client.
        :param is_idle: whether it asks for nothing just now.
        :param end: ends it, soon; its place is free at once.
        """
        if not self._make_room(who):
            yield False
            return
        place = _Place(who, is_idle, end)
        self._taken[place] = None
        try:
            yield True
        finally:
            self._taken.pop(place, None)

    def _make_room(self, who: str) -> bool:
        held: dict[str, int] = {}
        for place in self._taken:
            held[place.who] = held.get(place.who, 0) + 1
        if len(self._taken) < self._most and held.get(who, 0) < self._most_each:
            return True
        of = {who} if held.get(who, 0) >= self._most_each else set(held)
        idle = [place for place in self._taken if place.who in of and place.is_idle()]
        if not idle:
            return False
        oldest = max(idle, key=lambda place: held[place.who])  # the first of those with as many
        del self._taken[oldest]
        oldest.end()
        return True
