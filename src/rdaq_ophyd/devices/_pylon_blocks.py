"""Sequence numbers from the block ids of a Basler camera's frames."""

from __future__ import annotations

# What pylon gives for a frame without one (Pylon::GrabResult::GetBlockID).
_NONE = 2**64 - 1
# Of the first frame after the start, by pylon's class of device (the same page): GigE counts from 1, others from 0.
_FIRST = {"BaslerGigE": 1, "BaslerUsb": 0, "BaslerCamEmu": 0}


class Blocks:
    """Block ids jump over frames that were lost on the way, also over those before the first that came.

    :param device_class: pylon's; of one that is not known both 0 and 1 are taken for the first id.
    """

    def __init__(self, device_class: str = "") -> None:
        self._first = _FIRST.get(device_class)
        self.begin()

    def begin(self) -> None:
        """The camera starts: it counts anew."""
        self._sequence = -1
        self._block: int | None = None if self._first is None else self._first - 1

    def number(self, block: int, skipped: int = 0) -> int:
        """The sequence number of the next frame, from 0.

        :param block: its block id; they wrap, and cameras without them say 0 each time.
        :param skipped: frames that pylon left out before it.
        """
        if self._block is None:
            self._block = min(block, 1) - 1
        known = self._block < block != _NONE
        self._sequence += max(block - self._block if known else 1, 1 + skipped)
        if block != _NONE:
            self._block = block
        return self._sequence
