"""What a script asks its rig between two messages: readings, descriptions, statuses. Nothing here moves anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bluesky.protocols import Status
from bluesky.utils import maybe_await

from rdaq_ophyd.errors import LimitError

from ._table import ATTRIBUTES, Table
from ._vocabulary import FACTS, NOTES, QUESTIONS, TRACKS

MOST_STATUSES = 100_000
"""Statuses that a script may hold at a time."""


class Statuses:
    """Statuses that a script holds, by number; one that it lets go is forgotten."""

    def __init__(self) -> None:
        self._held: dict[int, Status] = {}
        self._next = 0

    def give(self, status: Status) -> dict[str, Any]:
        """Number it.

        :raises LimitError: the script holds too many.
        """
        if len(self._held) >= MOST_STATUSES:
            raise LimitError(f"the script holds {MOST_STATUSES} statuses", hint="let go of those that are done")
        self._next += 1
        self._held[self._next] = status
        return {"$status": self._next}

    def release(self, numbers: Any) -> None:
        """The script has let go of them."""
        for number in numbers if isinstance(numbers, list) else ():
            if isinstance(number, int):
                self._held.pop(number, None)

    def __getitem__(self, number: Any) -> Status:
        if number not in self._held:
            raise LimitError(f"no status {number!r:.40}")
        return self._held[number]


def status_facts(status: Status, encode: Callable[[BaseException], Any]) -> dict[str, Any]:
    """How it stands."""
    error = status.exception(0) if status.done else None
    return {
        "done": bool(status.done),
        "success": bool(status.success),
        "exception": None if error is None else encode(error),
    }


async def answer(table: Table, path: str, attribute: str, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
    """Ask a device.

    :param attribute: with a dot, a method of what the attribute is.
    :raises LimitError: that is nothing to ask.
    """
    head, _, method = attribute.partition(".")
    if head not in ATTRIBUTES or not _may(head, method):
        raise LimitError(f"{path}.{attribute} is nothing to ask", hint="give it to a message: yield from bps...")
    found = getattr(table[path], head)
    if head in TRACKS:
        return found.nearest(*args, **kwargs)
    if head in FACTS:
        return found
    return await maybe_await(found(*args, **kwargs))


def _may(head: str, method: str) -> bool:
    if head in TRACKS:
        return method == "nearest"
    return not method and head in QUESTIONS | NOTES | FACTS
