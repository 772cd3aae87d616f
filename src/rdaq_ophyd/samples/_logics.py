"""Trigger, acquire and data logic of every analog input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ophyd_async.core import (
    DetectorTrigger,
    DetectorTriggerLogic,
    PathProvider,
    SignalDict,
    SignalR,
    StreamableDataProvider,
    TriggerInfo,
)

from rdaq_ophyd.errors import CardError
from rdaq_ophyd.frames import absolute_paths, frame_file
from rdaq_ophyd.streams import StreamAcquireLogic, StreamDataLogic, check_info

from ._documents import BlockDocuments
from ._format import CardIdentity, StartTrigger
from ._pipeline import SamplePipeline
from ._records import CardRecord, ChannelRecord
from ._room import check_room
from ._settings import SamplingSettings
from ._words import WORDS


def check_blocks(name: str, value: TriggerInfo, supported: Collection[DetectorTrigger]) -> None:
    """Refuse what no analog input can do.

    :raises CardError: says what it can do instead.
    """
    hint = "use DetectorTrigger.INTERNAL, or EXTERNAL_EDGE for a block at each edge"
    check_info(name, value, supported, WORDS, hint)
    if value.deadtime and value.trigger is not DetectorTrigger.INTERNAL:
        raise CardError(
            f"{name}: a pause of {value.deadtime:g} s between blocks that edges begin is not supported",
            hint="the edges say when each begins: deadtime=0",
        )


@dataclass
class AnalogTriggerLogic(DetectorTriggerLogic):
    """Blocks one after another without a gap, or each begun by an edge."""

    pipeline: SamplePipeline
    settings: SamplingSettings
    config: set[SignalR[Any]]
    blocks: int = 1
    trigger: StartTrigger = StartTrigger.INTERNAL
    skip: int = 0

    def config_sigs(self) -> set[SignalR[Any]]:
        """What goes into the configuration of every descriptor."""
        return self.config

    def get_deadtime(self, config_values: SignalDict) -> float:  # noqa: ARG002  none of them matters
        """A block follows the other without a gap: 0 s."""
        return 0.0

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        """Let the host begin; ``livetime`` (s; 0 keeps it) is the length of a block, ``deadtime`` what is left out."""
        await self.set_length(livetime)
        rate = await asyncio.to_thread(self.pipeline.driver.rate)
        samples = self.settings.form().samples
        self.skip = max(0, round((livetime or samples / rate) * rate + deadtime * rate) - samples)
        triggers = self.pipeline.driver.triggers()
        self.trigger = StartTrigger.SOFTWARE if StartTrigger.SOFTWARE in triggers else StartTrigger.INTERNAL
        self.blocks = num

    async def prepare_edge(self, num: int, livetime: float) -> None:
        """Let an edge begin each block.

        :raises CardError: the card has no trigger input.
        """
        driver = self.pipeline.driver
        if StartTrigger.EXTERNAL not in driver.triggers():
            raise CardError(
                f"{driver.label} has no external trigger", hint="use DetectorTrigger.INTERNAL: the host begins"
            )
        await self.set_length(livetime)
        self.trigger, self.blocks, self.skip = StartTrigger.EXTERNAL, num, 0

    async def set_length(self, livetime: float) -> None:
        """Make blocks ``livetime`` seconds long; 0 keeps them.

        :raises LimitError: such a block is too short or too long.
        :raises CardError: a file is open, whose blocks have another length.
        """
        if livetime:
            rate = await asyncio.to_thread(self.pipeline.driver.rate)
            self.settings.choose(round(livetime * rate))

    async def default_trigger_info(self) -> TriggerInfo:
        """One block as long as it is set."""
        return TriggerInfo()


@dataclass
class AnalogAcquireLogic(StreamAcquireLogic):
    """Arm the card for the prepared number of blocks, and stop it."""

    pipeline: SamplePipeline
    trigger: AnalogTriggerLogic

    async def start_acquiring(self, blocks: int | None = None) -> None:
        """Take ``blocks`` blocks, else as many as prepared (0: until stopped)."""
        count = self.trigger.blocks if blocks is None else blocks
        await self.pipeline.arm(count, self.trigger.trigger, self.trigger.skip)


@dataclass
class BlockDataLogic(StreamDataLogic[BlockDocuments]):
    """Blocks into one HDF5 file a stage."""

    pipeline: SamplePipeline
    settings: SamplingSettings
    path_provider: PathProvider
    channels: Callable[[], Sequence[ChannelRecord]]
    identity: CardIdentity

    async def check_room(self, blocks: int, datakey_name: str) -> None:
        """Refuse what does not fit on the disk, in the open file's folder or where the next one will be.

        :raises DataDirectoryError: naming the needed and the free size.
        """
        sink = self.pipeline.sink
        path = sink.path if sink else await asyncio.to_thread(frame_file, self.path_provider(datakey_name))
        await asyncio.to_thread(check_room, max(1, blocks), self.settings.form(), path.parent)

    def __post_init__(self) -> None:
        self.path_provider = absolute_paths(self.path_provider)

    def record(self, datakey_name: str) -> CardRecord:
        """What the next blocks are like; asks the card and waits for it."""
        rate = self.pipeline.driver.rate()
        return CardRecord(datakey_name, self.identity, rate, self.settings.form(), tuple(self.channels()))

    async def prepare_unbounded(self, datakey_name: str) -> StreamableDataProvider:
        """Create the file, SWMR on, before the first block.

        :raises DataDirectoryError: the directory cannot be written, the file exists, or the disk is full.
        """
        info = self.path_provider(datakey_name)
        path = await asyncio.to_thread(frame_file, info)
        record = await asyncio.to_thread(self.record, datakey_name)
        await self.pipeline.open(path, record)
        self.documents = BlockDocuments(f"{info.directory_uri}{path.name}", record, self.pipeline.written)
        return self.documents
