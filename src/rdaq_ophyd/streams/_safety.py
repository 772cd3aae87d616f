"""The part of an instrument that streams in a stop-all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rdaq_ophyd.stop import Outcome, Verdict

from ._pipeline import StreamPipeline


class StreamSafety:
    """Stops the instrument; while the latch is tripped it does not start.

    :param name: tells the device's.
    :param bound: seconds in which it must have stopped.
    :param unstopped: what a verdict says when it has not.
    """

    first = False
    ends_with_process = True

    def __init__(
        self, pipeline: StreamPipeline[Any, Any, Any], name: Callable[[], str], bound: float, unstopped: str
    ) -> None:
        self.bound = bound
        self._pipeline, self._name, self._unstopped = pipeline, name, unstopped
        self._begun = 0.0

    def devices(self) -> list[str]:
        """The device."""
        return [self._name()]

    def halt(self) -> None:
        """Tell the instrument to stop."""
        self._begun = time.monotonic()
        self._pipeline.halt_soon()

    def confirm(self) -> list[Verdict]:
        """Wait until its acquisition has ended."""
        begun = self._begun or time.monotonic()
        stopped = self._pipeline.stopped(self.bound)
        outcome = Outcome.CONFIRMED if stopped else Outcome.UNCONFIRMED
        detail = "" if stopped else self._unstopped
        return [Verdict(self._name(), outcome, seconds=time.monotonic() - begun, detail=detail)]

    def recheck(self) -> list[Verdict]:
        """Look again whether its acquisition has ended."""
        self._begun = time.monotonic()
        return self.confirm()
