"""Blocks of samples in memory that is allocated once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._format import BlockFormat

STATISTICS = ("mean", "std", "min", "max")
"""What is told of each channel of a block, in the order of ``Block.statistics``."""
# How often one who waits for room looks whether it is still wanted, s.
_POLL = 0.05


class Block:
    """A slot of a ring: ``samples`` values of each channel, one after another at equal times.

    :ivar values: shape (channels, samples), in units; NaN where the card lost a sample.
    :ivar statistics: shape (4, channels): mean, standard deviation, lowest and highest value.
    :ivar index: number of its first sample since the file was opened, by the card's count.
    :ivar start: host time of the first sample, s since the epoch, as well as it is known.
    :ivar arrival: host time when its last sample had arrived, s since the epoch.
    :ivar lost: how many of its samples the card lost.
    :ivar arm: how often the card had been armed before, for this file.
    """

    __slots__ = ("_give_back", "arm", "arrival", "index", "lost", "start", "statistics", "values")

    def __init__(self, form: BlockFormat, give_back: Callable[[Block], None]) -> None:
        self.values: NDArray[Any] = np.empty(form.shape, form.dtype_numpy)
        self.statistics: NDArray[np.float64] = np.empty((len(STATISTICS), len(form.channels)))
        self.index = self.lost = self.arm = 0
        self.start = self.arrival = 0.0
        self._give_back = give_back

    def release(self) -> None:
        """Give the slot back; its holder does so once."""
        self._give_back(self)

    def summarise(self) -> None:
        """Calculate the statistics; lost samples do not count, and a channel of nothing else has none (NaN)."""
        values, out = self.values, self.statistics
        if not self.lost:
            np.mean(values, axis=1, dtype=np.float64, out=out[0])
            np.std(values, axis=1, dtype=np.float64, out=out[1])
            np.min(values, axis=1, out=out[2])
            np.max(values, axis=1, out=out[3])
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NumPy warns of slices that are all NaN
            np.nanmean(values, axis=1, dtype=np.float64, out=out[0])
            np.nanstd(values, axis=1, dtype=np.float64, out=out[1])
            out[2], out[3] = np.nanmin(values, axis=1), np.nanmax(values, axis=1)


class BlockRing:
    """``depth`` blocks that take turns between the acquisition thread and the writer."""

    def __init__(self, form: BlockFormat, depth: int) -> None:
        self.form, self.depth = form, depth
        self._free: SimpleQueue[Block] = SimpleQueue()
        for _ in range(depth):
            self._free.put(Block(form, self._free.put))

    @property
    def free(self) -> int:
        """Blocks that are in nobody's hands."""
        return self._free.qsize()

    def take(self, wanted: Callable[[], bool]) -> Block | None:
        """A free block, waiting for one; None when ``wanted()`` says no meanwhile."""
        while True:
            try:
                return self._free.get(timeout=_POLL)
            except Empty:
                if not wanted():
                    return None
