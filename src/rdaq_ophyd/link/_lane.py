"""Which of the waiting exchanges goes first."""

from __future__ import annotations

from enum import IntEnum


class Lane(IntEnum):
    """Priority of an exchange on a link. A lower number is served first; within a lane, first come first served."""

    URGENT = 0
    """Stops, shutters, emission off."""
    NORMAL = 1
    """What a plan or a person asks for."""
    POLL = 2
    """Background reading for displays and subscriptions; waits as long as there is anything else to do."""
