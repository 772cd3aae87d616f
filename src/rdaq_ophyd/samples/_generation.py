"""One acquisition: the thread between a card and the ring of blocks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.streams import Acquisition

from ._assembler import Assembler
from ._driver import AnalogDriver
from ._feed import SampleFeed
from ._format import StartTrigger
from ._ring import Block
from ._sink import SampleSink
from ._tap import SampleFan
from ._words import WORDS

# How long the acquisition thread waits for samples before it looks whether it should stop, s.
_POLL = 0.05


class Latest(NamedTuple):
    """The block taken last: (4, channels) statistics, host time of its first sample and of its arrival, and losses."""

    statistics: NDArray[np.float64]
    start: float
    arrival: float
    lost: int


@dataclass(frozen=True)
class Order:
    """What one acquisition is to take.

    :param number: of the generation that its blocks belong to.
    :param count: blocks; 0: until halted.
    :param trigger: what begins the samples, with EXTERNAL each block.
    :param base: samples taken before, for the same file.
    :param arm: how often the card was armed before, for the same file.
    :param skip: samples between two blocks that are not kept.
    """

    number: int
    count: int
    trigger: StartTrigger
    base: int
    arm: int
    skip: int = 0


class Generation(Acquisition[Latest]):
    """Takes the blocks of an order from the driver into the sink."""

    def __init__(self, driver: AnalogDriver, sink: SampleSink, fan: SampleFan, order: Order) -> None:
        super().__init__("samples-card", driver.label, WORDS, order.count)
        self.driver, self.sink, self.fan, self.order = driver, sink, fan, order
        scale, offset = (np.array([getattr(c, n) for c in sink.record.channels]) for n in ("scale", "offset"))
        self._assembler = Assembler(
            sink.ring,
            scale,
            offset,
            sink.record.rate,
            base=order.base,
            arm=order.arm,
            apart=order.trigger is StartTrigger.EXTERNAL,
            skip=order.skip,
        )

    @property
    def whole(self) -> int:
        """Samples that the card is to count; 0: until halted."""
        order, samples = self.order, self.sink.record.form.samples
        if order.trigger is StartTrigger.EXTERNAL:
            return samples * order.count
        return max(0, (samples + order.skip) * order.count - order.skip)

    @property
    def taken(self) -> int:
        """Samples that the card has counted."""
        return self._assembler.expected

    def _ended(self) -> None:
        self.sink.discard(self._assembler.end())

    def _take(self) -> None:
        order, driver = self.order, self.driver
        samples = self.sink.record.form.samples
        begun = time.time()
        apart = order.trigger is StartTrigger.EXTERNAL
        in_shot, shots = (samples, order.count) if apart else (self.whole, 1)
        self._feed = SampleFeed(self.fan, self.sink.record, samples if apart else 0)
        try:
            driver.arm(in_shot, shots, order.trigger)
            fired = None
            if order.trigger is StartTrigger.SOFTWARE and self._wanted():
                driver.fire()
                fired = time.time()
            self._assembler.begin(begun, fired)
            self._feed.begin(fired)
            self.started.set_result(None)
            while self._wanted():
                self._next()
        finally:
            driver.stop()

    def _next(self) -> None:
        transfer = self.driver.next_transfer(_POLL)
        if transfer is None:
            return
        self._feed.offer(transfer)  # first: blocks may have to wait for the disk
        counted = self._assembler.lost
        for block in self._assembler.feed(transfer, self.driver.label, self._wanted):
            self.sink.lost += self._assembler.lost - counted
            counted = self._assembler.lost
            self._deliver(block)
            if not self._wanted():
                return
        self.sink.lost += self._assembler.lost - counted

    def _deliver(self, block: Block) -> None:
        latest = Latest(block.statistics.copy(), block.start, block.arrival, block.lost)
        self._note(self.sink.put(block, self.order.number), latest)
