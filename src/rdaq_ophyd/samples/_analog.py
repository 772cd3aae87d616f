"""An analog input as a StandardDetector: blocks of samples, an event each, none too many or too few across a pause."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import weakref
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
from bluesky.protocols import Hints, Reading, StreamAsset
from bluesky.utils import NoReplayAllowed
from event_model import DataKey
from numpy.typing import NDArray
from ophyd_async.core import (
    AsyncStatus,
    PathProvider,
    TriggerInfo,
    WatchableAsyncStatus,
    WatcherUpdate,
    soft_signal_r_and_setter,
)

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.errors import CardError
from rdaq_ophyd.stop import register, unregister

from ._channels import add_channels
from ._connector import CardConnector
from ._documents import BlockDocuments
from ._driver import AnalogDriver
from ._flight import Flight
from ._format import Calibration, CardIdentity, StartTrigger
from ._logics import AnalogAcquireLogic, AnalogTriggerLogic, BlockDataLogic, check_info
from ._pipeline import SamplePipeline
from ._ring import STATISTICS
from ._safety import CardSafety
from ._settings import FEWEST, SamplingSettings
from ._signals import AnalogSignals
from ._sim_card import SimAnalogCard

logger = logging.getLogger(__name__)
_UNKNOWN = CardIdentity("", "", "")
# A block is so long unless it is said otherwise, s.
_BLOCK = 0.1


class AnalogInput(AnalogSignals):
    """Any card with an :class:`~rdaq_ophyd.samples.AnalogDriver`.

    An event is a block: ``samples`` values of each channel at ``rate``. In a step scan a trigger takes one, and reads
    its mean, standard deviation, lowest and highest value; in a fly scan blocks follow one another without a gap, or
    each begins with an edge (``DetectorTrigger.EXTERNAL_EDGE``). All values go into one HDF5 file for each stage.
    Each channel is a child of that name, with its settings.

    :param driver: the card.
    :param path_provider: where the files go.
    :param name: of the device; the samples of a channel are ``NAME-CHANNEL``.
    :param samples: in a block; None for those of 0.1 s.
    :param calibrations: of channels by name, where volts are not what is wanted.
    :raises CardError: a channel has a name that cannot be used, or a calibration is for one that is not there.
    """

    def __init__(
        self,
        driver: AnalogDriver,
        path_provider: PathProvider,
        name: str = "",
        *,
        samples: int | None = None,
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        self._pipeline = SamplePipeline(driver)
        settings = SamplingSettings(self._pipeline, FEWEST)
        settings.choose(max(FEWEST, round(_BLOCK * driver.rate())) if samples is None else samples)
        self._settings = settings
        self.rate, self.samples = settings.rate, settings.samples
        self.model, self._set_model = soft_signal_r_and_setter(str)
        self.serial_number, self._set_serial = soft_signal_r_and_setter(str)
        self.blocks_written = self._pipeline.written
        self.samples_lost = self._pipeline.lost
        self.samples_discarded = self._pipeline.discarded
        self._trigger = AnalogTriggerLogic(
            self._pipeline, settings, {self.rate, self.samples, self.model, self.serial_number}
        )
        self._acquire = AnalogAcquireLogic(self._pipeline, self._trigger)
        self._channels = channels = add_channels(self, self._pipeline, calibrations or {})
        self._data = BlockDataLogic(
            self._pipeline, settings, path_provider, lambda: [c.record() for c in channels], _UNKNOWN
        )
        self.add_detector_logics(self._trigger, self._acquire, self._data)
        self.add_config_signals(*(signal for channel in channels for signal in channel.signals()))
        self._prepared: TriggerInfo | None = None
        self._flight: Flight | None = None
        self._armed: range | None = None
        self._awaited = False
        self._stepping = True
        self._pauses = 0
        self._preparing = asyncio.Lock()
        self._safety = CardSafety(self._pipeline, lambda: self.name)
        self._closer = weakref.finalize(self, driver.close)
        super().__init__(name=name, connector=CardConnector(driver, self._use, self._stand_in))

    # -- opening and closing --------------------------------------------------------------------------------

    def _stand_in(self) -> AnalogDriver:
        """What mock mode measures with: a simulated card with the same channels."""
        return SimAnalogCard.like(self._pipeline.driver, f"mock {self.name}")

    async def _use(self, driver: AnalogDriver) -> None:
        self._pipeline.driver = driver
        identity = await asyncio.to_thread(driver.open)
        for channel in self._channels:
            channel.opened()
        self._data.identity = identity
        self._set_model(identity.model)
        self._set_serial(identity.serial)
        register(self._safety)

    async def close(self) -> None:
        """Close the file, if one is open, and the card. It opens again with ``connect(force_reconnect=True)``."""
        unregister(self._safety)
        await self._pipeline.close()
        await asyncio.to_thread(self._pipeline.driver.close)

    # -- the bluesky verbs ----------------------------------------------------------------------------------

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Stop the card and close the last file; the next one is made by ``prepare`` or the first trigger."""
        self._pauses += 1
        async with self._preparing:
            self._prepared = self._flight = self._armed = None
            await super().stage()

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Stop the card, also within a block, and close the file."""
        self._pauses += 1  # a trigger that has not begun its block will not
        async with self._preparing:
            self._prepared = self._flight = self._armed = None
            await self._data.stop()

    @AsyncStatus.wrap
    async def prepare(self, value: TriggerInfo) -> None:
        """Get ready for ``value.number_of_events`` blocks (0: until unstaged).

        ``livetime`` (s) sets the length of a block; ``deadtime`` (s) is the time between blocks whose samples are not
        kept. With ``EXTERNAL_EDGE`` the card waits for its first edge when this is done.

        :raises CardError: something this card cannot do is asked for.
        :raises LimitError: such a block is too short or too long.
        :raises DataDirectoryError: the blocks do not fit on the disk, or the file cannot be made.
        """
        check_info(self.name, value, self._supported_triggers)
        async with self._preparing:
            await self._prepare(value)

    async def _prepare(self, value: TriggerInfo) -> None:
        await self._pipeline.rest()
        self._flight = self._armed = None
        await self._trigger.set_length(value.livetime)
        await self._data.check_room(value.number_of_events, self.name)
        rows = self._pipeline.rows
        await super().prepare(value)
        self._prepared = value
        if self._trigger.trigger is StartTrigger.EXTERNAL:  # waits for its first edge already
            self._armed = range(rows, rows + value.number_of_events)

    async def blocks_in(self, seconds: float) -> int:
        """How many blocks, as they are set now, cover so many seconds; the last one may be longer."""
        return max(1, math.ceil(seconds / await self.block_length() - 1e-9))

    async def block_length(self) -> float:
        """How long a block is, as it is set now, s."""
        return float(await self.samples.get_value() / await self.rate.get_value())

    async def _timeout(self, prepared: TriggerInfo) -> float:
        """Longest time between two blocks, s: what the plan says, and the length of a block."""
        return prepared.exposure_timeout + await self.block_length()

    @WatchableAsyncStatus.wrap
    async def trigger(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Take one block; done when it is in the file, readable by others. A block nobody read is replaced."""
        pauses = self._pauses
        async with self._preparing:  # a replayed trigger may find the first one still at it
            if self._prepared is None:
                await self._prepare(TriggerInfo())
        prepared = self._prepared
        if prepared is None or prepared.number_of_events != 1:
            raise CardError(
                f"{self.name} is prepared for {prepared and prepared.number_of_events} blocks, a trigger takes one",
                hint="use kickoff and complete for more, or prepare with number_of_events=1",
            )
        documents = self._documents()
        documents.use(streaming=False)
        self._flight, self._awaited = None, True
        armed, self._armed = self._armed, None
        if armed is not None:
            start = armed.start
        else:
            await self._pipeline.rest()
            if self._pipeline.rows > documents.emitted:
                await self._pipeline.rewind(documents.emitted)
            start = self._pipeline.rows
            if pauses != self._pauses:
                return  # paused before the block began: the replayed trigger takes it
            await self._acquire.start_acquiring(1)
        async for update in self._updates(start, start + 1, await self._timeout(prepared)):
            yield update
        await self._acquire.wait_for_idle()
        self._awaited = self._pipeline.rows == start

    @AsyncStatus.wrap
    async def kickoff(self) -> None:
        """Start taking the prepared blocks.

        :raises CardError: not prepared, or for fewer blocks than ``events_to_kickoff`` says.
        """
        documents, prepared = self._documents(), self._prepared
        assert prepared is not None
        count = await self.events_to_kickoff.get_value()
        if count > prepared.number_of_events and (prepared.number_of_events or self._armed is not None):
            raise CardError(
                f"{self.name}: {count} blocks asked for, prepared for {prepared.number_of_events}",
                hint="prepare with number_of_events as large as events_to_kickoff",
            )
        documents.use(streaming=True)
        timeout = await self._timeout(prepared)
        armed, self._armed = self._armed, None
        if armed is None:
            await self._pipeline.rest()
            self._flight = Flight(self._pipeline.rows, count, timeout)
            await self._acquire.start_acquiring(count)
        else:
            self._flight = Flight(armed.start, count, timeout)
            self._armed = armed[count:] or None

    @WatchableAsyncStatus.wrap
    async def complete(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Done when every block of the kick-off is in the file; for an endless one, stop it."""
        flight = self._flight
        if flight is None:
            raise CardError(f"{self.name}: complete without kickoff", hint="kick the analog input off first")
        await self._continue(flight)
        if flight.count == 0:
            flight.ended = True
            await self._pipeline.end()
            return
        async for update in self._updates(flight.start, flight.end, flight.timeout):
            yield update
        if self._armed is None:  # no further flight of the same arming
            await self._acquire.wait_for_idle()

    async def _updates(self, start: int, end: int, timeout: float) -> AsyncIterator[WatcherUpdate[int]]:
        began = time.monotonic()
        async for rows in self._pipeline.progress(end, timeout):
            elapsed = time.monotonic() - began
            yield WatcherUpdate(
                name=self.name, current=rows, initial=start, target=end, unit="", precision=0, time_elapsed=elapsed
            )

    @property
    def exposure_times(self) -> NDArray[np.float64]:
        """The middle of each block in the open file, seconds since 1970, shape (n,); empty when no file is open."""
        sink = self._pipeline.sink
        return np.array(sink.times[: self._pipeline.rows] if sink else [], dtype=np.float64)

    # -- documents ------------------------------------------------------------------------------------------

    def _documents(self) -> BlockDocuments:
        documents = self._data.documents
        if documents is None or self._prepared is None:
            raise CardError(f"{self.name} is not prepared", hint="stage it, then prepare it with a TriggerInfo")
        return documents

    @property
    def hints(self) -> Hints:
        """The means are what tables and plots show; a fly scan has none."""
        names = self._settings.form().channels if self._stepping else ()
        return Hints(fields=[f"{self.name}-{channel}-mean" for channel in names])

    async def describe(self) -> dict[str, DataKey]:
        """The samples as streams, their statistics as event data."""
        self._stepping = True
        documents = self._documents()
        return {**documents.sample_datakeys(), **documents.statistic_datakeys(), **documents.time_datakeys()}

    async def describe_collect(self) -> dict[str, DataKey]:
        """The samples with times and losses of their blocks, all as streams."""
        self._stepping = False
        return await self._documents().make_datakeys()

    async def read(self) -> dict[str, Reading[Any]]:
        """Statistics, time and losses of the block just triggered.

        :raises CardError: the trigger has not ended with a block.
        """
        latest = self._pipeline.latest
        if latest is None or self._awaited:
            raise CardError(f"{self.name}: there is no block to read", hint="trigger the analog input and wait for it")
        values: dict[str, Any] = {
            f"{self.name}-{channel}-{statistic}": float(latest.statistics[row, column])
            for column, channel in enumerate(self._settings.form().channels)
            for row, statistic in enumerate(STATISTICS)
        }
        values |= {f"{self.name}-start": latest.start, f"{self.name}-lost": latest.lost}
        return {key: Reading(value=value, timestamp=latest.arrival) for key, value in values.items()}

    async def get_index(self) -> int:
        """Blocks that may be collected."""
        await self._finish_interrupted()
        return self._pipeline.rows

    async def collect_asset_docs(self, index: int | None = None) -> AsyncIterator[StreamAsset]:
        """Stream documents for the blocks in the file, up to ``index``."""
        documents = self._documents()
        await self._finish_interrupted()
        rows = self._pipeline.rows if index is None else min(index, self._pipeline.rows)
        async for document in documents.make_stream_docs(rows, 1):
            yield document

    # -- pause and resume -----------------------------------------------------------------------------------

    async def pause(self) -> None:
        """Stop the card; blocks that no document tells of are discarded and counted, their rows written anew.

        A flight of which nothing was collected is flown again. One that was collected in part goes on where it
        stopped, so that n blocks stay n blocks; then the engine must not replay the plan.

        :raises NoReplayAllowed: to the RunEngine, in that case.
        """
        self._pauses += 1
        documents = self._data.documents
        if documents is None:
            return
        kept = documents.settle()
        flight = self._flight if self._flight is not None and not self._flight.is_over(kept) else None
        if flight is None and not self._pipeline.acquiring and self._pipeline.rows == kept:
            return
        self._armed = None
        await self._pipeline.rewind(kept)
        if flight is None:
            return
        flight.interrupted = flight.waiting = True
        if kept > flight.start:
            logger.warning(
                "%s: paused with %d of %d blocks collected; on resume it takes the rest where it is, without "
                "repeating movements",
                self.name,
                kept - flight.start,
                flight.count,
            )
            raise NoReplayAllowed

    async def resume(self) -> None:
        """Go on with a flight that was collected in part; everything else waits for the replayed plan."""
        flight = self._flight
        if flight is not None and self._pipeline.rows > flight.start:
            await self._continue(flight)

    async def _continue(self, flight: Flight) -> None:
        if flight.interrupted:
            flight.interrupted = False
            await self._acquire.start_acquiring(flight.end - self._pipeline.rows if flight.count else 0)

    async def _finish_interrupted(self) -> None:
        """A pause loses the wait for a flight; whoever collects next waits for it instead."""
        flight = self._flight
        if flight is None or not flight.waiting or not flight.count:
            return
        await self._continue(flight)
        async for _ in self._pipeline.progress(flight.end, flight.timeout):
            pass
        flight.waiting = False

    is_stop_target = True
    """A stop of everything stops the card by itself, from any thread; see ``CardSafety``."""

    stop_capability = StopCapability(StopMeans.SOFTWARE, note="the block in progress is thrown away")

    async def stop(self, success: bool = True) -> None:  # noqa: ARG002  bluesky's signature; a block has no halves
        """Stop the card now; what it has taken stays in the file. Whoever waits for more blocks gets an error."""
        self._pipeline.halt_soon()
        await self._pipeline.halt()

    def halt(self) -> None:
        """The same from any thread, without waiting."""
        self._pipeline.halt_soon()
