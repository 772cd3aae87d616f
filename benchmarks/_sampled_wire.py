"""What both ends of the figures of samples know; loads nothing else."""

from __future__ import annotations

import struct

FLUSH = 0.005
"""Seconds from block to block, ours and the peer's."""
HEADER = struct.Struct("<IQ")
"""Of a block in the peer's socket: bytes, number of the first sample."""
