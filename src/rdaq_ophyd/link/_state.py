"""What is known of the instrument at the other end of a link."""

from __future__ import annotations

from enum import StrEnum


class LinkState(StrEnum):
    """From ``open`` to ``close`` of a link."""

    CLOSED = "closed"
    """Nobody opened it, or it was closed."""
    CONNECTED = "connected"
    """The port is open, and the instrument is the one it should be."""
    MUTE = "mute"
    """The port is open, but questions stay without an answer."""
    LOST = "lost"
    """The port vanished; it is being opened again where somebody asked for that."""
    CHECKING = "checking"
    """The port is back; whether the same instrument is behind it is not known yet."""
    WRONG = "wrong instrument"
    """Another instrument is behind it; it is tried again now and then."""
