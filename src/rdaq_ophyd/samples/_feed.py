"""From a card's transfers to those who look on."""

from __future__ import annotations

import math

import numpy as np

from ._clock import HostClock
from ._driver import Transfer
from ._records import CardRecord
from ._schema import card_schema
from ._tap import LARGEST, Piece, SampleFan


class SampleFeed:
    """One acquisition as it comes: the same values as in the file, a transfer at a time, and none kept for a block.

    Where nobody listens it counts, and touches no sample.

    :param fan: who listens.
    :param record: what the file says about the card.
    :param shot: samples that an edge begins; 0: all are one shot.
    """

    def __init__(self, fan: SampleFan, record: CardRecord, shot: int = 0) -> None:
        self._fan, self._shot = fan, shot
        self._rate, self._dtype = record.rate, record.form.dtype_numpy
        self._schema = fan.numbered(card_schema(record))
        self._scale, self._offset = (np.array([getattr(c, n) for c in record.channels]) for n in ("scale", "offset"))
        row = len(record.channels) * np.dtype(self._dtype).itemsize
        self._most = max(1, LARGEST // row)
        self._base, self._shots = fan.end, fan.shots
        self._clock = HostClock(1 / record.rate)
        self._expected, self._last = 0, -1

    def begin(self, fired: float | None) -> None:
        """Say when the card had been fired, s since the epoch; None if that is not known."""
        self._clock.begin(math.inf if fired is None else fired)

    def offer(self, transfer: Transfer) -> None:
        """Show a transfer to who listens; never waits."""
        if transfer.index < self._expected:
            return  # of a driver that mixes them up: the file's blocks refuse it, and that ends the acquisition
        place, count = 0, len(transfer.data)
        self._expected = transfer.index + count
        self._fan.end = self._base + self._expected
        while place < count:
            shot, within = divmod(transfer.index + place, self._shot) if self._shot else (0, transfer.index + place)
            following = min(count, place + self._shot - within if self._shot else count)
            self._note(shot, within + following - place, transfer.host_time - (count - following) / self._rate)
            if self._fan.listening:
                self._show(transfer, place, following, within)
            place = following

    def _note(self, shot: int, arrived: int, host_time: float) -> None:
        if shot != self._last:
            if self._shot:
                self._clock.begin()
            self._last = shot
            self._fan.shots = self._shots + shot + 1
        self._clock.arrived(arrived, host_time)

    def _show(self, transfer: Transfer, place: int, end: int, within: int) -> None:
        for first in range(place, end, self._most):
            counts = transfer.data[first : min(end, first + self._most)]
            rows = np.empty(counts.shape, self._dtype)
            np.multiply(counts, self._scale, out=rows, casting="same_kind")
            rows += self._offset
            rows.setflags(write=False)
            time = min(self._clock.time(within + first - place), transfer.host_time)
            number = self._base + transfer.index + first
            self._fan.publish(Piece(self._schema, number, self._shots + self._last, time, rows))
