"""The readings of a run as its events have them, for plans that compute with what they measure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray

__all__ = ["Events", "collected"]
logger = logging.getLogger(__name__)
MAJOR = 2
"""Alarm severity from which on a reading is not to be trusted (as in EPICS): saturated, over range, invalid."""


class Events:
    """The events of one stream, in order.

    Not the answers to the plan's own messages: a pause in mid-reading loses those, while its replay records an event.
    A replayed point replaces the one that it repeats.
    """

    def __init__(self, stream: str = "primary") -> None:
        self._stream = stream
        self._descriptors: set[str] = set()
        self._rows: dict[int, dict[str, Any]] = {}
        self._left_out: set[int] = set()
        #: Of the run; empty before it begins.
        self.uid = ""

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document."""
        if name == "start":
            self.uid = doc["uid"]
        elif name == "descriptor" and doc["name"] == self._stream:
            self._descriptors.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._descriptors:
            self._rows[doc["seq_num"]] = doc["data"]
        elif name == "event_page" and doc["descriptor"] in self._descriptors:
            for i, number in enumerate(doc["seq_num"]):
                self._rows[number] = {key: values[i] for key, values in doc["data"].items()}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def left_out(self) -> int:
        """How many events ``trusted`` did not trust so far."""
        return len(self._left_out)

    def column(self, key: str) -> NDArray[np.float64]:
        """All values of a data key, shape (n,)."""
        return np.array([self._rows[number][key] for number in sorted(self._rows)], float)

    def columns(self, keys: Iterable[str]) -> tuple[NDArray[np.float64], ...]:
        """The same for several keys."""
        return tuple(self.column(key) for key in keys)

    def trusted(
        self, keys: Iterable[str], least: int, part: slice = slice(None)
    ) -> tuple[NDArray[np.float64], ...] | None:
        """The same, without the events in which one of them is no number, or has an alarm of severity 2 or more.

        The severity of a key is what the event has as ``KEY_severity``, where it has that. What is left out is told in
        the log, and counted in ``left_out``.

        :param part: of the events so far.
        :return: None when fewer than ``least`` are left, or fewer than half: nothing is to be fitted to those.
        """
        numbers = sorted(self._rows)[part]
        rows = [self._rows[number] for number in numbers]
        wanted = list(keys)
        columns = np.array([[row[key] for key in wanted] for row in rows], float).reshape(len(rows), len(wanted))
        severity = np.array([[row.get(f"{key}_severity", 0) for key in wanted] for row in rows], float)
        good = (np.isfinite(columns) & (severity.reshape(columns.shape) < MAJOR)).all(axis=1)
        left, enough = int(good.sum()), max(least, len(rows) / 2)
        self._left_out.update(number for number, fine in zip(numbers, good, strict=True) if not fine)
        if left < len(rows):
            what = "%d of %d points are saturated, over range or invalid: left out%s"
            logger.warning(what, len(rows) - left, len(rows), "" if left >= enough else "; too few are left for a fit")
        return tuple(columns[good].T) if left >= enough else None


def collected[T](plan: Callable[[Events], MsgGenerator[T]]) -> MsgGenerator[T]:
    """Run a plan that is given the events of its stream ``primary``."""
    events = Events()
    result: T = yield from bpp.subs_wrapper(plan(events), {"all": [events]})
    return result
