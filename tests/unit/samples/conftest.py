"""A simulated card whose samples tell their own number, and the file it writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider

from rdaq_ophyd.devices.sim_analog import Counter, SimAnalogInput, SimInput, Sine
from rdaq_ophyd.samples import (
    BlockFormat,
    Calibration,
    CardIdentity,
    CardRecord,
    Channel,
    ChannelRecord,
    Coupling,
    InputRange,
    SampleSink,
)

INPUTS = {"number": SimInput(Counter(), noise=0.0), "wave": SimInput(Sine(1000.0, 2.0, 1.0), noise=0.0)}


@pytest.fixture
def paths(tmp_path: Path) -> StaticPathProvider:
    return StaticPathProvider(UUIDFilenameProvider(), tmp_path)


@pytest.fixture
async def adc(paths: StaticPathProvider) -> AsyncIterator[SimAnalogInput]:
    """Blocks of 100 samples at 10 kHz: 10 ms."""
    made = SimAnalogInput(paths, "adc", inputs=INPUTS, samples=100)
    made.driver.memory = 60.0  # a busy machine must not lose samples where a test counts them
    await made.connect()
    yield made
    await made.close()


@pytest.fixture
def record() -> CardRecord:
    ranges = (InputRange(-10, 10), InputRange(-1, 1))
    channels = (
        ChannelRecord(Channel("a", "V", 0.5, 0.25, ranges[0], Coupling.AC, ranges, (Coupling.AC,)), Calibration()),
        ChannelRecord(Channel("b", "V", 0.5, 0.0), Calibration("W", 2.0, -1.0)),
    )
    form = BlockFormat(("a", "b"), 4, "<f4")
    return CardRecord("adc", CardIdentity("maker", "model", "42"), 1000.0, form, channels)


@pytest.fixture
def block() -> Callable[..., object]:
    """Fill the n-th block of a sink: channel a is n, n.25, n.5, n.75, channel b its negative."""

    def make(sink: SampleSink, number: int, lost: int = 0) -> object:
        made = sink.ring.take(lambda: True)
        made.values[0] = number + np.arange(4) / 4
        made.values[1] = -made.values[0]
        made.values[:, :lost] = np.nan
        made.index, made.arm, made.lost = 4 * number, 1, lost
        made.start, made.arrival = 1000.0 + number, 1000.5 + number
        made.summarise()
        return made

    return make
