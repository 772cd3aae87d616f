"""Readings on their way from the event loop to the acquisition thread."""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from ._driver import Transfer


class TransferQueue:
    """Rows with their numbers; those that follow one another come out as one transfer.

    :param width: values in a row.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._changed = threading.Condition()
        self._rows: list[tuple[int, NDArray[np.float64], float]] = []

    def put(self, index: int, row: NDArray[np.float64]) -> None:
        """Add a row, which has just arrived."""
        with self._changed:
            self._rows.append((index, row, time.time()))
            self._changed.notify_all()

    def get(self, timeout: float) -> Transfer | None:
        """The first rows whose numbers follow one another; None when there is none within ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._rows, timeout):
                return None
            first = self._rows[0][0]
            count = next((i for i, row in enumerate(self._rows) if row[0] != first + i), len(self._rows))
            taken, self._rows = self._rows[:count], self._rows[count:]
        return Transfer(first, np.array([row for _, row, _ in taken]).reshape(count, self._width), taken[-1][2])
