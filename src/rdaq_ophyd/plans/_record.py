"""Samples of analog inputs for a time, without a gap."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator
from ophyd_async.core import DetectorTrigger, TriggerInfo
from pydantic import Field

from rdaq_ophyd.capabilities import BlockProducer, Capability
from rdaq_ophyd.errors import LimitError

from ._light import Source, lit
from ._require import require
from ._units import SECONDS

__all__ = ["Recording", "record"]

# What a plan records in one run, blocks: a day of ten a second.
_MOST = 1_000_000
# How often documents tell of what has been recorded, s.
_FLUSH = 0.5


@dataclass(frozen=True)
class Recording:
    """What was recorded.

    :ivar blocks: number of blocks, an event each.
    :ivar samples: of each channel.
    :ivar seconds: that they cover.
    :ivar lost: of the samples; their places are NaN.
    """

    blocks: int
    samples: int
    seconds: float = field(metadata={"units": "s"})
    lost: int


def record(
    analog: BlockProducer,
    seconds: Annotated[
        float,
        Field(
            gt=0,
            le=86400,
            allow_inf_nan=False,
            description="time to record, s (above 0, to 86400)",
            json_schema_extra=SECONDS,
        ),
    ] = 10.0,
    edges: Annotated[bool, Field(description="each block waits for an edge at the card's trigger input")] = False,
    light: Source = None,
) -> MsgGenerator[Recording]:
    """Record all channels of an analog input for ``seconds``, block after block, in the stream ``primary``.

    Rate and block length are those that are set; the last block ends at ``seconds`` or a little later. With ``edges``
    there are as many blocks, each begun by an edge.

    :raises RdaqError: the device takes no blocks; names those of the rig that do.
    :raises LimitError: the time is not above 0 and at most 86400 s, or takes more than a million blocks.
    """
    require(analog, Capability.BLOCK_PRODUCER)
    if not (math.isfinite(seconds) and 0 < seconds <= 86400):
        raise LimitError(f"recording for {seconds} s", hint="give above 0, to 86400 s")
    return _record(analog, seconds, DetectorTrigger.EXTERNAL_EDGE if edges else DetectorTrigger.INTERNAL, light)


def _record(analog: Any, seconds: float, trigger: DetectorTrigger, light: Source) -> MsgGenerator[Recording]:
    rate = yield from bps.rd(analog.rate, default_value=1.0)
    samples = yield from bps.rd(analog.samples, default_value=1)
    blocks = max(1, math.ceil(seconds * rate / samples - 1e-9))
    if blocks > _MOST:
        raise LimitError(
            f"{blocks} blocks of {samples} samples in {seconds:g} s are more than {_MOST}",
            hint=f"give {analog.samples.name} at least {math.ceil(seconds * rate / _MOST)}",
        )
    metadata = {"plan_name": "record", "detectors": [analog.name], "num_points": blocks, "seconds": seconds}

    @bpp.stage_decorator([analog])
    @bpp.run_decorator(md=metadata)
    def blocks_of() -> Generator[Any, Any, Any]:
        info = TriggerInfo(number_of_events=blocks, trigger=trigger)
        yield from bps.prepare(analog, info, wait=True)
        yield from bps.declare_stream(analog, name="primary", collect=True)
        yield from bps.kickoff(analog, wait=True)
        yield from bps.collect_while_completing([analog], [analog], flush_period=_FLUSH, stream_name="primary")

    yield from lit(light, blocks_of())
    lost = yield from bps.rd(analog.samples_lost, default_value=0)
    return Recording(blocks, blocks * samples, blocks * samples / rate, int(lost))
