"""From transfers, as long as the card likes, to blocks, as long as was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.errors import CardError

from ._clock import HostClock
from ._driver import Transfer
from ._ring import Block, BlockRing

# A card's count may run this much ahead of the host's clock before it is not believed.
_AHEAD, _AHEAD_SECONDS = 1.1, 1.0


class Assembler:
    """Fills blocks with the samples of one arming; whole arrays at a time, no sample by itself.

    Where the count of the card jumps, samples were lost: their places are filled with NaN and counted, so that the
    samples of a block always lie at equal times, and a block that an edge began stays that edge's.

    :param ring: where blocks come from.
    :param scale: (channels,) units for one count.
    :param offset: (channels,) units at 0 counts.
    :param rate: samples a second.
    :param base: number of samples that earlier armings took.
    :param arm: how many of those there were.
    :param apart: each block begins with a trigger of its own.
    :param skip: samples between two blocks that are not kept, nor counted where they are lost.
    """

    def __init__(
        self,
        ring: BlockRing,
        scale: NDArray[np.float64],
        offset: NDArray[np.float64],
        rate: float,
        *,
        base: int = 0,
        arm: int = 0,
        apart: bool = False,
        skip: int = 0,
    ) -> None:
        self.lost = 0
        self.expected = 0
        self._ring, self._rate, self._base, self._arm, self._apart = ring, rate, base, arm, apart
        self._scale, self._offset = scale[:, None], offset[:, None]
        self._samples = ring.form.samples
        self._clock = HostClock(1 / rate)
        self._block: Block | None = None
        self._filled = 0
        self._skip, self._skipping = skip, 0
        self._armed = 0.0

    def begin(self, armed: float, fired: float | None = None) -> None:
        """Say when the card was armed, and when it had been fired, s since the epoch."""
        self._armed = armed
        if fired is not None:
            self._clock.begin(fired)

    def feed(self, transfer: Transfer, label: str, wanted: Callable[[], bool]) -> Iterator[Block]:
        """The blocks that are full with this transfer; ends early when ``wanted()`` says no while there is no room.

        :raises CardError: its samples are out of order, or the card counts more than its rate allows.
        """
        missing = self._missing(transfer, label)
        place, count = 0, len(transfer.data)
        if not self._apart:
            self._clock.arrived(transfer.index + count, transfer.host_time)
        while missing or place < count:
            if self._skipping:
                step = min(missing or count - place, self._skipping)
                missing, place = (missing - step, place) if missing else (0, place + step)
                self._skipping -= step
                self.expected += step
                continue
            block = self._block or self._next(wanted)
            if block is None:
                return
            first = self._filled
            step = min(missing or count - place, self._samples - first)
            target = block.values[:, first : first + step]
            if missing:
                target[:] = np.nan
                block.lost += step
                self.lost += step
                missing -= step
            else:
                np.multiply(transfer.data[place : place + step].T, self._scale, out=target, casting="same_kind")
                target += self._offset
                place += step
                if self._apart:
                    late = (count - place) / self._rate
                    self._clock.arrived(first + step, transfer.host_time - late)
            self._filled += step
            self.expected += step
            if self._filled == self._samples:
                yield self._finish(block, transfer.host_time)

    def _missing(self, transfer: Transfer, label: str) -> int:
        missing = transfer.index - self.expected
        if missing < 0:
            raise CardError(
                f"{label}: sample {transfer.index} came after sample {self.expected - 1}",
                hint="its driver mixes up the order of transfers",
            )
        passed = max(0.0, transfer.host_time - self._armed) + _AHEAD_SECONDS
        if missing and missing > _AHEAD * passed * self._rate + self._samples:
            raise CardError(
                f"{label}: {missing} samples are missing before sample {transfer.index}, more than {passed:.1f} s have",
                hint="is the rate right? does its driver count samples of all channels together?",
            )
        return missing

    def _next(self, wanted: Callable[[], bool]) -> Block | None:
        block = self._block = self._ring.take(wanted)
        if block is not None:
            block.index, block.arm, block.lost = self._base + self.expected, self._arm, 0
            self._filled = 0
            if self._apart:
                self._clock.begin()
        return block

    def _finish(self, block: Block, host_time: float) -> Block:
        self._block = None
        self._skipping = self._skip
        first = 0 if self._apart else block.index - self._base
        block.start = min(self._clock.time(first), host_time)
        block.arrival = host_time
        block.summarise()
        return block

    def end(self) -> int:
        """Give a block back that is not full, and say how many samples were in it."""
        block, self._block = self._block, None
        if block is None:
            return 0
        block.release()
        return self._filled
