"""The documents that tell Bluesky and Tiled about the blocks in a file."""

from __future__ import annotations

from event_model import DataKey
from ophyd_async.core import SignalR

from rdaq_ophyd.streams import StreamDocuments

from ._records import COLUMN_CHUNK, COLUMNS, CardRecord, chunk_blocks, column_path, samples_path
from ._ring import STATISTICS
from ._words import WORDS

TIMES = {"start": "timestamps", "lost": "lost_samples"}
"""What is told of each block beside the samples: data key's ending -> column of the file."""


class BlockDocuments(StreamDocuments):
    """Stream resources and datums of one file.

    An event is a block. Each channel is a data key of its own, described as ``(samples,)``; Tiled stacks them, so
    that n blocks read ``(n, samples)``. ``KEY-start`` is the host time of each block's first sample, ``KEY-lost`` how
    many of its samples the card lost.

    :param uri: of the file.
    :param record: what the file says about the card.
    :param written: blocks that are readable; moves only after the flush.
    """

    def __init__(self, uri: str, record: CardRecord, written: SignalR[int]) -> None:
        super().__init__(uri, record.name, written, WORDS)
        self.record = record
        form = record.form
        chunk = (chunk_blocks(form), form.samples)
        self._always = [self._bundle(f"{self.key}-{name}", samples_path(name), chunk) for name in form.channels]
        self._flown = [
            self._bundle(f"{self.key}-{name}", column_path(column), (COLUMN_CHUNK,)) for name, column in TIMES.items()
        ]

    async def make_datakeys(self, collections_per_event: int = 1) -> dict[str, DataKey]:  # noqa: ARG002  always 1
        """Describe samples, times and losses as streams."""
        keys = self.sample_datakeys()
        for name, key in self.time_datakeys().items():
            keys[name] = DataKey(**key, external="STREAM:")
        return keys

    def sample_datakeys(self) -> dict[str, DataKey]:
        """Describe the samples of each channel."""
        form = self.record.form
        return {
            f"{self.key}-{each.channel.name}": DataKey(
                source=self.uri,
                shape=[form.samples],
                dtype="array",
                dtype_numpy=form.dtype_numpy,
                external="STREAM:",
                units=each.units,
                dims=[f"{self.key}_sample"],
            )
            for each in self.record.channels
        }

    def time_datakeys(self) -> dict[str, DataKey]:
        """Describe what each block has beside its samples, but for where it is kept."""
        keys = {}
        for name, column in TIMES.items():
            dtype, units, _ = COLUMNS[column]
            key = keys[f"{self.key}-{name}"] = DataKey(source=self.uri, shape=[], dtype="number", dtype_numpy=dtype)
            if units:
                key["units"] = units
        return keys

    def statistic_datakeys(self) -> dict[str, DataKey]:
        """Describe the statistics of each channel: event data of a step scan."""
        return {
            f"{self.key}-{each.channel.name}-{name}": DataKey(
                source=self.uri, shape=[], dtype="number", dtype_numpy="<f8", units=each.units
            )
            for each in self.record.channels
            for name in STATISTICS
        }
