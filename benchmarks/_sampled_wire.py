"""What both ends of the figures of samples know; loads nothing else."""

from __future__ import annotations

import struct

TRANSFER = 0.005
"""Seconds from transfer to transfer of the card."""
FLUSH = 0.010
"""Seconds from block to block on the line, ours and the peers': what our server takes unless asked for another."""
HEADER = struct.Struct("<IQ")
"""Of a block in the peer's socket: bytes, number of the first sample."""
