"""How a plan came to its end, by the states that the RunEngine went through."""

from __future__ import annotations

from rdaq_ophyd.startup import RigRunEngine

#: bluesky's states on the way to an end that somebody asked for, and queueserver's words for it.
ENDS = {"stopping": "stopped", "aborting": "aborted", "halting": "halted"}


class EngineWatch:
    """Notes whether somebody ended the plan: a stop-all, a client of the gRPC service, a suspender's owner.

    :ivar end: ``stopped``, ``aborted`` or ``halted``; empty when nobody did.
    """

    def __init__(self, engine: RigRunEngine) -> None:
        self.end = ""
        engine.observers.append(self._on_state)

    def _on_state(self, state: str) -> None:
        self.end = ENDS.get(state, self.end)

    def begin(self) -> None:
        """A plan begins."""
        self.end = ""
