"""The process that brings the spool into Tiled."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from ._backlog import LineCounts
from ._files import write_json
from ._layout import DataLayout
from ._outages import may_pass, outage
from ._queue import QueuedRun, queued_runs
from ._shared import FILE
from ._stopping import Stopping

logger = logging.getLogger(__name__)

# Five times a second: the catalog shows an event within a fifth of a second and a request's time.
INTERVAL = 0.2
# Between two attempts to reach a catalog that is away, which may have other rigs to serve (s).
LONGEST_PAUSE = 2.0
_MOST_ATTEMPTS = 4


class Worker:
    """Delivers run after run, each as it grows; begins a run anew whenever its delivery was interrupted.

    :param layout: the data directory.
    :param connect: gives a client of the catalog's root; raises while the server is down.
    :param interval: seconds between two looks at the spool.
    """

    def __init__(self, layout: DataLayout, connect: Callable[[], Any], *, interval: float = INTERVAL) -> None:
        self.layout = layout
        self.interval = interval
        self._connect = connect
        self._client: Any = None
        self._runs: dict[str, QueuedRun] = {}
        self._error = ""
        self._outages = 0
        self._not_before = 0.0
        self._counts = LineCounts()
        self._shown: dict[str, Any] = {}

    def run(self, stopping: Stopping) -> None:
        """Deliver until ``stopping`` is set; a delivery in progress is finished to its next flush."""
        while not stopping.is_set():
            began = time.monotonic()
            more = self.deliver()
            self._show()
            if not more:
                stopping.wait(max(0.0, self.interval - (time.monotonic() - began)))

    def deliver(self) -> bool:
        """Bring over a block of each run in the spool, the oldest run first.

        :return: whether there may be more to deliver at once.
        """
        self._runs = queued_runs(self.layout, self._runs)
        due = [run for run in self._runs.values() if run.due()]
        if not due or time.monotonic() < self._not_before or not self._connected():
            return False
        more = False
        for run in due:
            try:
                more = run.advance(self._client) or more
                self._outages = 0
            except Exception as error:  # noqa: BLE001 - whatever a run holds, the others are to be delivered
                if away := outage(error, self._client):
                    self._outage(away)
                    return False
                self._failed(run, error)
        return more

    def _connected(self) -> bool:
        if self._client is None:
            try:
                self._client = self._connect()
            except Exception as error:  # noqa: BLE001 - whatever it is, the documents wait and it is tried again
                self._outage(outage(error, None) or f"Tiled does not answer: {error}")
        return self._client is not None

    def close(self) -> None:
        """Close the connection to the server."""
        if self._client is not None:
            self._client.context.close()
            self._client = None

    def _outage(self, message: str) -> None:
        # What the server kept of open runs is unknown, so all begin anew, in their order.
        self._outages += 1
        # The first two may be a server that is being started again: those are tried at the next look.
        pause = self.interval * 2.0**self._outages if self._outages > 2 else 0.0
        self._not_before = time.monotonic() + min(pause, LONGEST_PAUSE)
        if message != self._error:
            logger.warning("%s; %d runs wait in the spool", message, len(self._runs))
        self._error = message
        self.close()
        for run in self._runs.values():
            if not run.delivery.parked:
                run.restart(message)

    def _failed(self, run: QueuedRun, error: Exception) -> None:
        self._error = f"run {run.uid}: {type(error).__name__}: {error}"
        logger.exception("delivery of run %s failed", run.uid)
        patient = may_pass(error) and (self.layout.root / FILE).exists()
        run.fail(self._error, most_attempts=sys.maxsize if patient else _MOST_ATTEMPTS)

    def _show(self) -> None:
        state = {
            "pid": os.getpid(),
            "behind": self._counts.behind((run.path, run.delivery) for run in self._runs.values()),
            "runs": len(self._runs),
            "parked": sorted(uid for uid, run in self._runs.items() if run.delivery.parked),
            "error": self._error if any(run.delivery.error for run in self._runs.values()) else "",
        }
        if state != self._shown:
            write_json(self.layout.spool / "status.json", {"time": time.time(), **state}, mode=0o644)
            self._shown = state
