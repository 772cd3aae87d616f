"""Background reading of one signal for its subscribers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.link import Lane

from ._annotations import Sample

logger = logging.getLogger(__name__)

INVALID = 3
"""Alarm severity of a reading that could not be taken (as in EPICS)."""


class Poller:
    """Reads at once and then every ``period`` seconds, and publishes what came of it, until ``end``.

    One that is ended before its first value publishes that value still: whoever waits for it is not left waiting.

    :param name: of the signal, now.
    :param get: takes a sample in the given lane.
    :param publish: what to do with it.
    :param last: the value to publish when none could be taken.
    :param period: in seconds.
    """

    def __init__(
        self,
        name: Callable[[], str],
        get: Callable[[Lane], Awaitable[Sample]],
        publish: Callable[[Sample], object],
        last: Callable[[], Any],
        period: Callable[[], float],
    ) -> None:
        self._name, self._get, self._publish, self._last, self._period = name, get, publish, last, period
        self._served = self._ended = False
        self._task = asyncio.get_running_loop().create_task(self._poll())

    def publish(self, sample: Sample) -> None:
        """Hand a sample to the subscribers, whoever took it."""
        self._served = True
        self._publish(sample)

    def end(self) -> None:
        """Nobody subscribes any more."""
        self._ended = True
        if self._served:
            self._task.cancel()

    async def _poll(self) -> None:
        failing = False
        while not (self._served and self._ended):
            try:
                self.publish(await self._get(Lane.POLL))
                if failing:
                    logger.info("%s: polling works again", self._name())
                failing = False
            except (RdaqError, OSError) as error:
                # Once an outage, not once a poll: a dead instrument must not bury the log.
                logger.log(logging.DEBUG if failing else logging.WARNING, "%s: polling failed: %s", self._name(), error)
                failing = True
                self.publish(Sample(self._last(), INVALID))
            if not self._ended:
                await asyncio.sleep(self._period())
