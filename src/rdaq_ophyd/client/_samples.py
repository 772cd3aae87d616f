"""Samples of an analog input elsewhere, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured
from numpy.typing import NDArray

from rdaq_ophyd.errors import LimitError, ServerGone
from rdaq_ophyd.wire import SERVICE, messages, row_dtype, rows_from, samples_from

from ._call import Calls, Stream


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

    :ivar schema: of what comes next; None before the first message.
    """

    def __init__(self) -> None:
        self.schema: SampleSchema | None = None

    def decode(self, data: bytes) -> SampleBlock | None:
        """The block of a message; None for one without samples.

        :raises LimitError: it is no such message, or it was not said what its samples are.
        """
        head, payload = samples_from(data)
        if head.HasField("schema"):
            self.schema = _schema(head.schema)
        if not payload:
            return None
        if self.schema is None or self.schema.number != head.schema_id:
            raise LimitError(f"samples of schema {head.schema_id}, which is not known", hint="call anew")
        rows = rows_from(payload, self.schema.dtype)
        return SampleBlock(rows, head.first_seq, head.dropped, head.time, head.shot, self.schema)


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


class Samples:
    """The samples of an analog input, for as long as it is iterated over; ``close()`` ends it from any thread.

    A reader that is slow loses the oldest samples, counted. It ends by itself when the device is closed.
    """

    def __init__(self, calls: Calls, channel: Any, name: str, flush: float) -> None:
        call = channel.unary_stream(
            f"/{SERVICE}/StreamSamples",
            request_serializer=messages.StreamSamplesRequest.SerializeToString,
            response_deserializer=None,  # the samples are not copied
        )
        request = messages.StreamSamplesRequest(name=name, flush=flush)
        self._stream = Stream(call(request, metadata=calls.metadata), calls.address)
        self._decoder, self._address = SampleDecoder(), calls.address
        self._blocks = self._decoded()
        self._early: list[SampleBlock] = []

    @property
    def schema(self) -> SampleSchema:
        """What the samples are. Waits until the rig says so; from then on none is missed.

        :raises UnknownName: there is no such analog input.
        :raises ServerGone: the stream ended before.
        """
        if self._decoder.schema is None:
            block = next(self._blocks, None)
            if block is not None:
                self._early.append(block)
        if self._decoder.schema is None:
            raise ServerGone(f"{self._address}: the stream of samples ended", hint="call client.samples again")
        return self._decoder.schema

    def _decoded(self) -> Iterator[SampleBlock | None]:
        for data in self._stream:
            yield self._decoder.decode(data)

    def __iter__(self) -> Iterator[SampleBlock]:
        try:
            for block in chain(self._early, self._blocks):
                if block is not None:
                    yield block
        finally:
            self.close()

    def close(self) -> None:
        """End it."""
        self._stream.close()
