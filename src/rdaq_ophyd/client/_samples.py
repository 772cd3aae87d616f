"""Samples of an analog input elsewhere, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured
from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import messages, row_dtype, rows_from, samples_from

from ._course import Course
from ._gap import OnGap


@dataclass(frozen=True)
class Calibration:
    """What was made of what the card measured: ``measured · scale + offset``."""

    scale: float
    offset: float
    measured_units: str


@dataclass(frozen=True)
class SampleSchema:
    """What the samples are.

    :ivar device: the analog input's name.
    :ivar rate: samples a second.
    :ivar dtype: of a row: a structure with a field for each channel.
    :ivar units: by channel.
    :ivar calibrations: by channel, of those that have one.
    """

    number: int
    device: str
    rate: float
    dtype: np.dtype[Any]
    units: Mapping[str, str]
    calibrations: Mapping[str, Calibration]

    @property
    def channels(self) -> tuple[str, ...]:
        """Their names, in the card's order."""
        return tuple(self.units)


@dataclass(frozen=True)
class SampleBlock:
    """Samples at equal times, one after another. ``block["photodiode"]`` are the values of a channel.

    :ivar rows: read-only, shape (samples,), a structure with a field for each channel.
    :ivar first: number of the first one, by the card's count. Numbers that are missing between two blocks were dropped,
        or lost by the card.
    :ivar dropped: samples since the stream began that were not taken in time; the file has them.
    :ivar time: of the first one, seconds since 1970 by the rig's clock.
    :ivar shot: how often the card had begun to sample before: another one, and the time does not go on evenly.
    :ivar schema: what they are; another object where rate, units or calibration have changed.
    """

    rows: NDArray[Any] = field(repr=False)
    first: int
    dropped: int
    time: float
    shot: int
    schema: SampleSchema

    @property
    def values(self) -> NDArray[Any]:
        """All channels, shape (channels, samples)."""
        values: NDArray[Any] = structured_to_unstructured(self.rows).T
        return values

    @property
    def times(self) -> NDArray[np.float64]:
        """Of each sample, seconds since 1970, shape (samples,)."""
        return self.time + np.arange(len(self.rows)) / self.schema.rate

    def __getitem__(self, channel: str) -> NDArray[Any]:
        """The values of one channel, shape (samples,)."""
        values: NDArray[Any] = self.rows[channel]
        return values

    def __len__(self) -> int:
        return len(self.rows)


class SampleDecoder:
    """Makes blocks of the messages of one call, in their order.

    :param dropped: samples that earlier calls of the same stream did not take in time.
    :ivar dropped: the same, with those of this call so far.
    :ivar schema: of what comes next; None before the first message.
    """

    def __init__(self, dropped: int = 0) -> None:
        self.schema: SampleSchema | None = None
        self.dropped = self._before = dropped

    def decode(self, data: bytes) -> SampleBlock:
        """The block of a message; one that only says what the samples are has none.

        :raises LimitError: it is no such message, or it was not said what its samples are.
        """
        head, payload = samples_from(data)
        if head.HasField("schema"):
            self.schema = _schema(head.schema)
        if self.schema is None or self.schema.number != head.schema_id:
            raise LimitError(f"samples of schema {head.schema_id}, which is not known", hint="call anew")
        rows = rows_from(payload, self.schema.dtype)
        self.dropped = self._before + head.dropped
        return SampleBlock(rows, head.first_seq, self.dropped, head.time, head.shot, self.schema)


def _schema(message: messages.SampleSchema) -> SampleSchema:
    calibrated = ((column.name, column.calibration) for column in message.columns if column.HasField("calibration"))
    return SampleSchema(
        message.schema_id,
        message.device,
        message.rate,
        row_dtype(message),
        {column.name: column.units for column in message.columns},
        {name: Calibration(c.scale, c.offset, c.measured_units) for name, c in calibrated},
    )


class SampleCourse(Course[SampleBlock]):
    """The samples of an analog input; what a cut call missed is counted by the card's own numbers.

    A message that only says what the samples are gives a block without any.

    :param flush: seconds from block to block.
    """

    call = "StreamSamples"

    def __init__(self, name: str, flush: float, on_gap: OnGap | None = None) -> None:
        super().__init__(on_gap)
        self.stream = f"samples of {name}"
        self._request = messages.StreamSamplesRequest(name=name, flush=flush)
        self._decoder = SampleDecoder()
        self._next: tuple[int, int] | None = None  # shot and number of what comes next
        self._missing: tuple[float, bool] | None = None

    def request(self) -> messages.StreamSamplesRequest:
        """Always the same."""
        return self._request

    @property
    def schema(self) -> SampleSchema | None:
        """What the samples are; None before the rig says so."""
        return self._decoder.schema

    def items(self, message: bytes) -> Iterable[SampleBlock]:
        """The block of a message."""
        block = self._decoder.decode(message)
        if len(block) and self._missing is not None:
            (since, restarted), self._missing = self._missing, None
            same = self._next is not None and not restarted and self._next[0] == block.shot
            self._gap(since, block.first - self._next[1] if same and self._next else None, restarted)
        if len(block):
            self._next = block.shot, block.first + len(block)
        yield block

    def _again(self, since: float, told: Mapping[str, str], restarted: bool) -> None:
        del told
        self._decoder = SampleDecoder(self._decoder.dropped)
        first, anew = self._missing or (since, False)  # cuts without samples between them are one gap
        self._missing = first, anew or restarted
