"""Signs of life for an instrument's own watchdog, such as that of a laser: from a healthy event loop or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.link import Lane

from ._channel import Channel

logger = logging.getLogger(__name__)


class Feeding:
    """Asks a question every ``period`` seconds, on the event loop that also moves, opens and stops things.

    When that loop hangs, nobody asks, and the instrument makes itself safe: that is what its watchdog is for. The
    link's own heartbeat would ask on, from its thread.

    :param question: one that changes nothing.
    :param period: seconds; a third of the instrument's bound or less.
    """

    def __init__(self, channel: Channel, question: str, period: float) -> None:
        self._channel, self._question, self._period = channel, question, period
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    def stop(self) -> None:
        """Ask no more; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: its tasks are gone
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _run(self) -> None:
        failing = False
        while True:
            try:
                await self._channel.ask(self._question, lane=Lane.URGENT)
                failing = False
            except RdaqError as error:
                if not failing:
                    logger.error("%s: its watchdog is not fed: %s", self._channel.url, error)
                failing = True
            await asyncio.sleep(self._period)
