"""An analog input as a StandardDetector: blocks of samples, an event each, none too many or too few across a pause."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from bluesky.protocols import Hints, Reading
from event_model import DataKey
from ophyd_async.core import AsyncStatus, PathProvider, SignalR, TriggerInfo, soft_signal_r_and_setter

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.errors import CardError
from rdaq_ophyd.stop import register, unregister
from rdaq_ophyd.streams import StreamConnector, StreamDetector

from ._channels import add_channels
from ._documents import BlockDocuments
from ._driver import AnalogDriver
from ._format import Calibration, CardIdentity, StartTrigger
from ._logics import AnalogAcquireLogic, AnalogTriggerLogic, BlockDataLogic, check_blocks
from ._pipeline import SamplePipeline
from ._ring import STATISTICS
from ._schema import SampleSchema, card_schema
from ._settings import FEWEST, SamplingSettings
from ._signals import AnalogSignals
from ._sim_card import SimAnalogCard
from ._tap import SampleTap

_UNKNOWN = CardIdentity("", "", "")
# A block is so long unless it is said otherwise, s.
_BLOCK = 0.1
# A card must have stopped in so many seconds: its driver answers within one.
_BOUND = 2.0


class AnalogInput(StreamDetector[SamplePipeline, BlockDocuments], AnalogSignals):
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

    stop_capability = StopCapability(StopMeans.SOFTWARE, note="the block in progress is thrown away")
    _data: BlockDataLogic

    def __init__(
        self,
        driver: AnalogDriver,
        path_provider: PathProvider,
        name: str = "",
        *,
        samples: int | None = None,
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        pipeline = SamplePipeline(driver)
        settings = SamplingSettings(pipeline, FEWEST)
        settings.choose(max(FEWEST, round(_BLOCK * driver.rate())) if samples is None else samples)
        self._settings = settings
        self.rate, self.samples = settings.rate, settings.samples
        self.model, self._set_model = soft_signal_r_and_setter(str)
        self.serial_number, self._set_serial = soft_signal_r_and_setter(str)
        self.blocks_written = pipeline.written
        self.samples_lost = pipeline.lost
        self.samples_discarded = pipeline.discarded
        configuration: set[SignalR[Any]] = {self.rate, self.samples, self.model, self.serial_number}
        self._trigger = AnalogTriggerLogic(pipeline, settings, configuration)
        acquire = AnalogAcquireLogic(pipeline, self._trigger)
        self._channels = channels = add_channels(self, pipeline, calibrations or {})
        data = BlockDataLogic(pipeline, settings, path_provider, lambda: [c.record() for c in channels], _UNKNOWN)
        self.add_detector_logics(self._trigger, acquire, data)
        self.add_config_signals(*(signal for channel in channels for signal in channel.signals()))
        self._stepping = True
        connector = StreamConnector[AnalogDriver](driver, self._use, lambda _: self._stand_in())
        unstopped = "its SDK did not stop sampling"
        super().__init__(pipeline, acquire, data, bound=_BOUND, unstopped=unstopped, name=name, connector=connector)

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
        self._pipeline.fan.close()
        await asyncio.to_thread(self._pipeline.driver.close)

    def tap(self) -> SampleTap:
        """The samples as they come, for a live chart or an analysis; from any thread. The file gets all of them.

        It has what the card takes while it acquires for somebody, also what a pause or the end of a block throws away.
        """
        return self._pipeline.fan.open()

    def sample_schema(self) -> SampleSchema:
        """What the next samples are like; asks the card and waits for it, so not from the event loop."""
        return self._pipeline.fan.numbered(card_schema(self._data.record(self.name)))

    # -- the bluesky verbs ----------------------------------------------------------------------------------

    @AsyncStatus.wrap
    async def prepare(self, value: TriggerInfo) -> None:
        """Get ready for ``value.number_of_events`` blocks (0: until unstaged).

        ``livetime`` (s) sets the length of a block; ``deadtime`` (s) is the time between blocks whose samples are not
        kept. With ``EXTERNAL_EDGE`` the card waits for its first edge when this is done.

        :raises CardError: something this card cannot do is asked for.
        :raises LimitError: such a block is too short or too long.
        :raises DataDirectoryError: the blocks do not fit on the disk, or the file cannot be made.
        """
        check_blocks(self.name, value, self._supported_triggers)
        async with self._preparing:
            await self._prepare(value)

    async def _prepare(self, value: TriggerInfo) -> None:
        await self._leave_flight()
        await self._pipeline.rest()
        self._armed = None
        await self._trigger.set_length(value.livetime)
        await self._data.check_room(value.number_of_events, self.name)
        await super().prepare(value)
        self._prepared = value
        if self._trigger.trigger is StartTrigger.EXTERNAL:  # waits for its first edge already
            first = self._pipeline.armed_from
            self._armed = range(first, first + value.number_of_events)

    async def blocks_in(self, seconds: float) -> int:
        """How many blocks, as they are set now, cover so many seconds; the last one may be longer."""
        return max(1, math.ceil(seconds / await self.block_length() - 1e-9))

    async def block_length(self) -> float:
        """How long a block is, as it is set now, s."""
        return float(await self.samples.get_value() / await self.rate.get_value())

    async def _timeout(self, prepared: TriggerInfo) -> float:
        return prepared.exposure_timeout + await self.block_length()

    async def _rest(self) -> None:
        await self._pipeline.rest()

    async def _settle_rows(self) -> None:
        await self._pipeline.settle_rows()

    async def _end(self) -> None:
        await self._pipeline.end()

    # -- documents ------------------------------------------------------------------------------------------

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
