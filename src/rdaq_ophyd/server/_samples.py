"""Samples for clients: what came since the last block, in one message, all from one ring."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from rdaq_ophyd.errors import LimitError, UnknownName
from rdaq_ophyd.samples import AnalogInput, Piece, SampleColumn, SampleSchema, SampleTap
from rdaq_ophyd.startup import Session
from rdaq_ophyd.wire import FLUSH, messages, sample_bytes

SHORTEST, LONGEST = 0.001, 10.0
"""What may be asked for, s."""
NEARLY = 0.25
"""Of that time a block may go sooner, if there is something: a timer costs as much as half of a message."""
LARGEST = 1 << 20
"""Bytes of samples in one message."""
PIECES = 64
"""Taken from the ring at a time: what a client that stalls keeps of it."""
ANSWER = 10.0
"""Seconds that a card may take to say what it samples."""


class Samples:
    """The rig's sources of samples, for callers on the server's loop.

    :param session: whose rig it is.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def source(self, name: str) -> AnalogInput:
        """The analog input of that name: a card, or signals that are polled as if they were one.

        :raises UnknownName: there is no such device, or it is none.
        """
        device = self._session.rig[name]
        if not isinstance(device, AnalogInput):
            inputs = [n for n, d in self._session.rig.devices.items() if isinstance(d, AnalogInput)]
            raise UnknownName(f"{name} is no analog input", hint=f"analog inputs: {', '.join(inputs) or 'none'}")
        return device

    async def stream(self, request: messages.StreamSamplesRequest) -> AsyncGenerator[bytes]:
        """Messages for as long as the client listens, or until the device is closed."""
        flush = _flush(request.flush)
        device = self.source(request.name)
        with device.tap() as tap:
            schema = await asyncio.wait_for(asyncio.to_thread(device.sample_schema), ANSWER)
            yield sample_bytes(messages.SampleBlock(schema_id=schema.number, schema=_schema(schema)))
            async for message in _sent(tap, schema, flush):
                yield message


def _flush(asked: float) -> float:
    if not asked:
        return FLUSH
    if not (math.isfinite(asked) and SHORTEST <= asked <= LONGEST):
        raise LimitError(f"flush = {asked:g} s", hint=f"{SHORTEST:g} to {LONGEST:g} s; 0 for {FLUSH:g} s")
    return asked


async def _sent(tap: SampleTap, schema: SampleSchema, flush: float) -> AsyncIterator[bytes]:
    told, pace = schema.number, _Pace(flush)
    while await pace.next(tap):
        while pieces := tap.take(PIECES):
            for block in _blocks(pieces):
                number = block[0].schema.number
                yield _message(block, tap.dropped, new=number != told)
                told = number
            if len(pieces) < PIECES:
                break


class _Pace:
    """When the next message goes: ``flush`` after the last one, or when something comes, whichever is later.

    Where pieces come more often than that, each sleep is for the time; where they come less often, for the piece.
    """

    def __init__(self, flush: float) -> None:
        self._flush, self._due, self._often = flush, 0.0, False

    async def next(self, tap: SampleTap) -> bool:
        """Wait until then; False when nothing will come any more."""
        if self._often:
            await asyncio.sleep(self._due - time.monotonic())
        if not await tap.wait():
            return False
        early = self._due - time.monotonic()
        if early > NEARLY * self._flush:
            self._often = True
            await asyncio.sleep(early)
        elif -early > NEARLY * self._flush:
            self._often = False
        self._due = max(self._due, time.monotonic()) + self._flush
        return True


def _blocks(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """The same pieces, those in one list that follow one another and are no more than a message has room for."""
    block = [pieces[0]]
    for piece in pieces[1:]:
        last = block[-1]
        follows = (piece.schema, piece.shot, piece.first) == (last.schema, last.shot, last.first + len(last.rows))
        if follows and sum(each.rows.nbytes for each in block) + piece.rows.nbytes <= LARGEST:
            block.append(piece)
        else:
            yield block
            block = [piece]
    yield block


def _message(block: list[Piece], dropped: int, *, new: bool) -> bytes:
    first = block[0]
    head = messages.SampleBlock(
        schema_id=first.schema.number, first_seq=first.first, dropped=dropped, time=first.time, shot=first.shot
    )
    if new:
        head.schema.CopyFrom(_schema(first.schema))
    return sample_bytes(head, [piece.rows for piece in block])


def _schema(schema: SampleSchema) -> messages.SampleSchema:
    return messages.SampleSchema(
        schema_id=schema.number, device=schema.device, rate=schema.rate, columns=map(_column, schema.columns)
    )


def _column(column: SampleColumn) -> messages.SampleColumn:
    made = messages.SampleColumn(name=column.name, dtype=column.dtype, units=column.units)
    if (known := column.calibration) is not None:
        calibration = messages.SampleCalibration(
            scale=known.scale, offset=known.offset, measured_units=column.measured_units
        )
        made.calibration.CopyFrom(calibration)
    return made
