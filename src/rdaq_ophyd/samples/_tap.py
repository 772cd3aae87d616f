"""Samples for those who may miss some: live charts, analyses, streams. However slow they are, the writer gets all."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from rdaq_ophyd.streams import BroadcastRing, RingCounts, RingReader

from ._schema import SampleSchema

ROOM = 1024
"""Pieces that wait for slow readers, all readers together."""
LARGEST = 1 << 16
"""Bytes of a piece; so at most 64 MiB wait, and only while somebody listens."""


class Piece(NamedTuple):
    """Samples that follow one another, as they came.

    :param schema: what they are.
    :param first: number of the first one, since the device was made, by the instrument's count. What is missing between
        two pieces was lost by the instrument, or not taken in time.
    :param shot: how often sampling had begun before: by an arming, and at each edge that begins a block. Samples of one
        shot lie at equal times.
    :param time: host time of the first one, s since the epoch, as well as it is known.
    :param rows: contiguous, a row a sample; nobody may write to it.
    """

    schema: SampleSchema
    first: int
    shot: int
    time: float
    rows: NDArray[Any]


class SampleTap:
    """The pieces of one device for one reader; a context manager. A reader that is slow loses the oldest, counted.

    :param fan: that it belongs to.
    :param ring: of the fan.
    """

    def __init__(self, fan: SampleFan, ring: BroadcastRing[Piece]) -> None:
        self._fan, self._ring = fan, ring
        self._reader: RingReader[Piece] = ring.reader()

    @property
    def counts(self) -> RingCounts:
        """What became of all samples so far; ``published == delivered + dropped + pending``."""
        return self._reader.counts

    @property
    def dropped(self) -> int:
        """Samples that were lost before the pieces that were taken last."""
        return self._reader.dropped

    def take(self, most: int | None = None) -> list[Piece]:
        """The pieces that came since the last call and are still there, at most so many; from any one thread."""
        return self._reader.take(most)

    async def wait(self) -> bool:
        """Sleep until there are some; False when none will come any more, because the device was closed."""
        return await self._reader.wait()

    def close(self) -> None:
        """Listen no more. Idempotent."""
        self._fan.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SampleFan:
    """Everybody who looks on at one device; they come and go from any thread while it samples.

    The pieces are in one ring, which is there while somebody listens.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taps: set[SampleTap] = set()
        self._ring: BroadcastRing[Piece] | None = None
        self._schema: SampleSchema | None = None
        self.end = self.shots = 0
        """Samples and shots that there were: where the next acquisition goes on to count."""

    @property
    def listening(self) -> bool:
        """Whether anybody does."""
        return self._ring is not None

    def open(self) -> SampleTap:
        """A new tap, from the next piece on."""
        with self._lock:
            if self._ring is None:
                self._ring = BroadcastRing(ROOM)
            tap = SampleTap(self, self._ring)
            self._taps.add(tap)
            return tap

    def leave(self, tap: SampleTap) -> None:
        """Forget a tap; with the last one goes the ring."""
        with self._lock:
            self._taps.discard(tap)
            if not self._taps:
                self._ring = None

    def close(self) -> None:
        """End all taps: the device was closed. New ones may be opened."""
        with self._lock:
            ring, self._ring = self._ring, None
            self._taps.clear()
        if ring is not None:
            ring.close()

    def numbered(self, schema: SampleSchema) -> SampleSchema:
        """The schema with its number: that of the last one if it is the same, else a new one."""
        with self._lock:
            last = self._schema
            if last is None or last != schema:
                last = self._schema = replace(schema, number=last.number + 1 if last else 1)
            return last

    def publish(self, piece: Piece) -> None:
        """Show a piece to everybody; never waits. By one thread at a time."""
        if (ring := self._ring) is not None:
            ring.publish(piece, len(piece.rows))
