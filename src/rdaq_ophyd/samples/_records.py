"""What stands where in a file of samples; loads no HDF5."""

from __future__ import annotations

from dataclasses import dataclass

from ._format import BlockFormat, Calibration, CardIdentity, Channel

LAYOUT_VERSION = 1
DATA = "/entry/data"
CARD = "/entry/instrument/card"
# name -> dtype, units, long name: one value a block
COLUMNS = {
    "timestamps": ("<f8", "s", "host time of the block's first sample, seconds since 1970-01-01 UTC, estimated"),
    "arrival_times": ("<f8", "s", "host time when the block's last sample had arrived"),
    "sample_index": ("<u8", "", "number of the block's first sample, by the card's count over all armings"),
    "arm": ("<u4", "", "how often the card had been armed before for this file"),
    "lost_samples": ("<u4", "", "samples of the block that the card lost; they are NaN"),
}
STATISTICS_LONG = {
    "mean": "mean over the block",
    "std": "standard deviation over the block",
    "min": "lowest value of the block",
    "max": "highest value of the block",
}
# Values of one column in a chunk: 2 KiB, rewritten whole at each flush.
COLUMN_CHUNK = 256
# A chunk of samples has whole blocks, and at most so many bytes if that is more than one.
_CHUNK_BYTES = 1 << 14


def samples_path(channel: str) -> str:
    """Where the samples of a channel stand: (blocks, samples)."""
    return f"{DATA}/{channel}"


def statistic_path(channel: str, statistic: str) -> str:
    """Where ``mean``, ``std``, ``min`` or ``max`` of each block of a channel stands: (blocks,)."""
    return f"/entry/instrument/{channel}/{statistic}"


def column_path(name: str) -> str:
    """Where a value that each block has stands: (blocks,); see ``COLUMNS``."""
    return f"{DATA}/{name}"


def chunk_blocks(form: BlockFormat) -> int:
    """Blocks in one chunk of a channel's samples."""
    return max(1, _CHUNK_BYTES // (form.samples * int(form.dtype_numpy[-1])))


@dataclass(frozen=True, slots=True)
class ChannelRecord:
    """What the file says about a channel: as the card has it, and what its values were multiplied with besides."""

    channel: Channel
    calibration: Calibration

    @property
    def units(self) -> str:
        """Of the values in the file."""
        return self.calibration.units or self.channel.units

    @property
    def scale(self) -> float:
        """Units of the file for one count of the card."""
        return self.channel.scale * self.calibration.scale

    @property
    def offset(self) -> float:
        """Units of the file at 0 counts of the card."""
        return self.channel.offset * self.calibration.scale + self.calibration.offset


@dataclass(frozen=True, slots=True)
class CardRecord:
    """What the file says about the card.

    :param rate: samples a second.
    """

    name: str
    identity: CardIdentity
    rate: float
    form: BlockFormat
    channels: tuple[ChannelRecord, ...]
