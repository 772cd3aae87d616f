"""The one reliable reader of a card's samples: a thread that owns the HDF5 file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.streams import StreamFile, StreamSink

from ._records import CardRecord
from ._ring import Block, BlockRing


class SampleSink(StreamSink[Block]):
    """Write blocks into a file on a thread of its own. What may wait for the disk is bounded by the ring.

    ``lost`` and ``discarded`` count samples.

    :param path: of the file, which must not exist.
    :param record: what the file says about the card.
    :param depth: blocks in memory; with all of them waiting the card's own buffer fills, and then it loses samples.
    :param on_written: called in the writer thread after each flush with the number of readable blocks.
    :param on_failed: called there once, when the file cannot be written any more.
    """

    batch = 64

    def __init__(
        self,
        path: Path,
        record: CardRecord,
        *,
        depth: int = 8,
        on_written: Callable[[int], None] = lambda _rows: None,
        on_failed: Callable[[RdaqError], None] = lambda _error: None,
    ) -> None:
        self.record = record
        self.ring = BlockRing(record.form, depth)
        self.weight = record.form.samples
        super().__init__(path, "samples-writer", on_written, on_failed)

    def put(self, block: Block, generation: int) -> bool:
        """Hand a block of the ring over; the sink gives it back.

        :return: False when it was not taken: its generation has ended, or the sink failed or is closing.
        """
        with self._changed:
            if self._takes(generation):
                self._add(block)
                return True
            self._drop(block)
        return False

    def _create(self) -> StreamFile[Block]:
        from ._layout import SampleFile  # loads HDF5: only where samples are written

        return SampleFile(self.path, self.record)

    def _time(self, block: Block) -> float:
        return block.start + self.record.form.samples / self.record.rate / 2

    def _release(self, block: Block) -> None:
        block.release()

    def _drop(self, block: Block) -> None:
        block.release()
        self.discarded += self.weight
