"""The signals that every analog input has, beside those of its channels."""

from __future__ import annotations

from ophyd_async.core import SignalR, SignalRW, StandardDetector


class AnalogSignals(StandardDetector):
    """What can be set for all channels, and what an analog input tells of itself and of its blocks."""

    rate: SignalRW[float]
    """Samples a second of each channel, Hz; the card takes the nearest that it has, which is read back.

    :raises CardError: a file is open, and its samples have one rate.
    :raises LimitError: outside of the card's range.
    """
    samples: SignalRW[int]
    """Of each channel in a block, 2 to 10 000 000.

    :raises CardError: a file is open, and its blocks have one length.
    :raises LimitError: fewer, more, or not a whole number; or such blocks do not fit into memory.
    """
    model: SignalR[str]
    """As the card says."""
    serial_number: SignalR[str]
    """As the card says."""
    blocks_written: SignalR[int]
    """Since the file was opened; counted when others can read them."""
    samples_lost: SignalR[int]
    """By the card, since the file was opened: gaps in its own count."""
    samples_discarded: SignalR[int]
    """Since the file was opened: taken, but thrown away by a pause or a stop, or not enough for a block at the end."""
