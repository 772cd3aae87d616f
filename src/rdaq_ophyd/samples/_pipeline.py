"""From a card's driver to a file: what the event loop knows about the acquisition and writer threads."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from pathlib import Path

from rdaq_ophyd.errors import CardError
from rdaq_ophyd.streams import StreamPipeline

from ._driver import AnalogDriver
from ._format import StartTrigger
from ._generation import Generation, Latest, Order
from ._records import CardRecord
from ._sink import SampleSink
from ._tap import SampleFan
from ._words import WORDS

# Blocks in memory: what comes in this time (s), but no fewer and no more than these numbers.
_BUFFERED, _FEWEST, _MOST = 2.0, 4, 256


class SamplePipeline(StreamPipeline[AnalogDriver, SampleSink, Generation]):
    """The samples of one card on their way to disk. Every method is called on the event loop.

    :param driver: the card; replaced by a simulated one when the device is connected in mock mode.
    """

    words = WORDS
    stop_timeout = 10.0

    def __init__(self, driver: AnalogDriver) -> None:
        super().__init__(driver)
        self.fan = SampleFan()

    def _reset(self) -> None:
        self.latest: Latest | None = None
        self._arms = self._taken = 0
        self._handed = 0  # blocks that the card gave and nobody took back: so many will be readable
        self.armed_from = 0
        """The row of the open file that the first block of the last arming becomes."""

    def _count(self, acquisition: Generation) -> None:
        self.latest = acquisition.last or self.latest
        self._taken += acquisition.taken
        self._handed += acquisition.delivered
        if self.sink is not None:
            self._set_lost(self.sink.lost)
            self._set_discarded(self.sink.discarded)

    def _late(self) -> str:
        acquisition = self._generation
        if acquisition is None or not 0 < acquisition.taken < acquisition.whole:
            return super()._late()
        return f"{acquisition.taken} of {acquisition.whole} samples came: were the others lost? {super()._late()}"

    async def open(self, path: Path, record: CardRecord) -> None:
        """Create the file of this stage.

        :raises DataDirectoryError: it cannot be created.
        """
        depth = min(_MOST, max(_FEWEST, math.ceil(_BUFFERED * record.rate / record.form.samples)))
        await self._open(partial(SampleSink, path, record, depth=depth))

    async def arm(self, count: int, trigger: StartTrigger, skip: int = 0) -> None:
        """Begin to take exactly ``count`` blocks (0: until halted) into the open file.

        On return the card samples, or waits for its external trigger.

        :param skip: samples between two blocks that are not kept.
        :raises StopLatched: everything was stopped.
        :raises AcquisitionInterrupted: a plan is paused.
        :raises CardError: no file is open, or the card cannot be armed.
        """
        await self.rest()
        sink = self._ready("nothing is sampled")
        self.armed_from = self.rows
        order = Order(self._number, count, trigger, self._taken, self._arms, skip)
        self._arms += 1
        generation = Generation(self.driver, sink, self.fan, order)
        self._begin(generation)
        armed = asyncio.shield(asyncio.wrap_future(generation.started))
        try:
            await asyncio.wait_for(armed, self.stop_timeout)
        except TimeoutError:
            generation.halt.set()
            raise CardError(
                f"{self.driver.label} was not armed within {self.stop_timeout:.0f} s", hint="its SDK hangs"
            ) from None
        if generation.failure is not None:
            raise generation.failure

    async def rest(self) -> None:
        """Stop the card, and wait until every block that it gave is readable.

        :raises CardError: the disk takes too long.
        """
        await self.halt()
        sink = self.sink
        while sink is self.sink and self._failure is None and self.rows < self._handed:
            try:
                await asyncio.wait_for(self._changed.wait(), self.close_timeout)
            except TimeoutError:
                raise CardError(
                    f"{self.driver.label}: {self._handed - self.rows} blocks not written in {self.close_timeout:.0f} s",
                    hint="check the disk",
                ) from None

    async def settle_rows(self) -> None:
        """After a stop: wait until the card has stopped and every block that it gave is readable.

        :raises CardError: the disk takes too long.
        """
        if self._generation is None or self._generation.halt.is_set():
            await self.rest()

    async def end(self) -> None:
        """Stop the card because enough was taken: the file is complete."""
        await self.rest()
        self._unfinished = False

    async def rewind(self, rows: int) -> None:
        """End the generation: stop the card, discard and count what came after the first ``rows`` blocks."""
        opened = self.sink is not None
        await super().rewind(rows)
        if opened:
            self._handed = rows
