"""Samples: cards with analog inputs as detectors, blocks of samples into HDF5, and slow signals flown the same way."""

from ._analog import AnalogInput
from ._channels import AnalogChannel
from ._clock import HostClock
from ._documents import TIMES, BlockDocuments
from ._driver import AnalogDriver, Transfer
from ._format import BlockFormat, Calibration, CardIdentity, Channel, Coupling, InputRange, StartTrigger
from ._logics import AnalogAcquireLogic, AnalogTriggerLogic, BlockDataLogic
from ._pipeline import SamplePipeline
from ._polled import PolledDriver
from ._polled_samples import PolledSamples
from ._records import (
    CARD,
    COLUMNS,
    LAYOUT_VERSION,
    CardRecord,
    ChannelRecord,
    column_path,
    samples_path,
    statistic_path,
)
from ._ring import STATISTICS, Block, BlockRing
from ._room import check_room
from ._schema import SampleColumn, SampleSchema
from ._settings import SamplingSettings
from ._signals import AnalogSignals
from ._sim_card import SimAnalogCard, SimInput
from ._sink import SampleSink
from ._tap import Piece, SampleFan, SampleTap
from ._waveforms import Counter, Sine, Square, Waveform

__all__ = [
    "CARD",
    "COLUMNS",
    "LAYOUT_VERSION",
    "STATISTICS",
    "TIMES",
    "AnalogAcquireLogic",
    "AnalogChannel",
    "AnalogDriver",
    "AnalogInput",
    "AnalogSignals",
    "AnalogTriggerLogic",
    "Block",
    "BlockDataLogic",
    "BlockDocuments",
    "BlockFormat",
    "BlockRing",
    "Calibration",
    "CardIdentity",
    "CardRecord",
    "Channel",
    "ChannelRecord",
    "Counter",
    "Coupling",
    "HostClock",
    "InputRange",
    "Piece",
    "PolledDriver",
    "PolledSamples",
    "SampleColumn",
    "SampleFan",
    "SamplePipeline",
    "SampleSchema",
    "SampleSink",
    "SampleTap",
    "SamplingSettings",
    "SimAnalogCard",
    "SimInput",
    "Sine",
    "Square",
    "StartTrigger",
    "Transfer",
    "Waveform",
    "check_room",
    "column_path",
    "samples_path",
    "statistic_path",
]
