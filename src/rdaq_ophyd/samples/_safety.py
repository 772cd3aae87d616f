"""An analog input's part of a stop-all."""

from __future__ import annotations

import time
from collections.abc import Callable

from rdaq_ophyd.stop import Outcome, Verdict

from ._pipeline import SamplePipeline

BOUND = 2.0
"""Seconds in which a card must have stopped: its driver answers within one."""


class CardSafety:
    """Stops the card; while the latch is tripped it does not start."""

    first = False
    bound = BOUND
    ends_with_process = True

    def __init__(self, pipeline: SamplePipeline, name: Callable[[], str]) -> None:
        self._pipeline, self._name = pipeline, name
        self._begun = 0.0

    def devices(self) -> list[str]:
        """The analog input."""
        return [self._name()]

    def halt(self) -> None:
        """Tell the card to stop."""
        self._begun = time.monotonic()
        self._pipeline.halt_soon()

    def confirm(self) -> list[Verdict]:
        """Wait until it has stopped sampling."""
        begun = self._begun or time.monotonic()
        stopped = self._pipeline.stopped(BOUND)
        outcome = Outcome.CONFIRMED if stopped else Outcome.UNCONFIRMED
        detail = "" if stopped else "its SDK did not stop sampling"
        return [Verdict(self._name(), outcome, seconds=time.monotonic() - begun, detail=detail)]

    def recheck(self) -> list[Verdict]:
        """Look again whether it has stopped sampling."""
        self._begun = time.monotonic()
        return self.confirm()
