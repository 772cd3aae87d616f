"""The statuses of a plan that were under way when something stopped the devices, and what their failing then means."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Iterable
from typing import Any

from bluesky.protocols import Status
from bluesky.utils import FailedStatus

from rdaq_ophyd.errors import AcquisitionInterrupted, MoveInterrupted

logger = logging.getLogger(__name__)
INTERRUPTED = (MoveInterrupted, AcquisitionInterrupted)


class Statuses:
    """Knows which statuses ended because of a stop.

    ``halted``: a pause or an abort stopped them; ``companions``: another one failed, and they were stopped with it.
    """

    def __init__(self) -> None:
        self._under_way: weakref.WeakSet[Status] = weakref.WeakSet()
        self.halted: frozenset[Status] = frozenset()
        self.companions: frozenset[Status] = frozenset()
        self._failed: Status | None = None
        self._waiting: list[asyncio.Future[Any]] = []

    def add(self, status: Status) -> None:
        """It began."""
        self._under_way.add(status)

    def note_halt(self) -> None:
        """Whatever is under way is about to be stopped. From any thread and any signal handler."""
        self.halted |= self._snapshot()

    def note_failure(self, failed: Status | None) -> None:
        """Whatever is under way is about to be stopped because ``failed`` (None: the plan itself) failed."""
        self._failed = self._failed or failed
        self.companions |= {status for status in self._snapshot() if not status.done and status is not failed}

    def _snapshot(self) -> frozenset[Status]:
        # The loop may add one meanwhile, and a signal handler must not wait for a lock.
        for _ in range(100):
            try:
                return frozenset(self._under_way)
            except RuntimeError:  # the set changed during the iteration
                continue
        return frozenset()

    def in_words(self, reason: str) -> str:
        """``reason``, or the failed status's own error where bluesky gave the status's representation as reason."""
        if self._failed is None or reason != str(FailedStatus(self._failed)):
            return reason
        return str(self._failed.exception(0))

    def was_interrupted(self, status: Status) -> bool:
        """Whether it failed only because it was stopped by a pause or an abort."""
        return status in self.halted and isinstance(status.exception(0), INTERRUPTED)

    def hold(self, future: asyncio.Future[Any]) -> None:
        """The plan must not go on with it before the pause or the abort came that is on its way."""
        self._waiting.append(future)

    def release(self) -> None:
        """That came: what was held counts as ended."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def fail_quietly(self, status: Status, future: asyncio.Future[Any]) -> None:
        """A companion's failure: only for whoever waits for it, since the plan has heard of the first one."""
        logger.warning("stopped together with what failed: %s", status.exception(0))
        failure = FailedStatus(status)
        failure.__cause__ = status.exception(0)
        future.set_exception(failure)
        future.exception()  # nobody has to fetch it

    def raise_for(self, waited: Iterable[Status]) -> None:
        """Raise for a companion that a plan waits for after all.

        :raises FailedStatus: it did not get where it was sent.
        """
        for status in waited:
            if status in self.companions and status.done and not status.success:
                raise FailedStatus(status) from status.exception(0)

    def clear(self) -> None:
        """The plan is over."""
        self.release()
        self.halted = self.companions = frozenset()
        self._failed = None
