"""A shutter or the emission of a Mai Tai: told, then watched until it followed."""

from __future__ import annotations

import asyncio
import logging

from ophyd_async.core import SignalR

from rdaq_ophyd.devices._maitai_base import TIMEOUT, MaiTaiDevice
from rdaq_ophyd.devices._maitai_errors import raise_first
from rdaq_ophyd.errors import ChangeUnconfirmed, RdaqError, StopLatched
from rdaq_ophyd.link import Lane
from rdaq_ophyd.stop import SafeState

logger = logging.getLogger(__name__)
POLL = 0.05
"""Seconds between two questions whether it followed."""


class Switch:
    """What makes light and what makes dark, each confirmed.

    :param device: the laser.
    :param signal: True while there is light.
    :param on: the command for light.
    :param off: the command for dark; has no reply, and may be sent at any time and twice.
    :param seconds: in which the laser must say that it followed.
    """

    def __init__(self, device: MaiTaiDevice, signal: SignalR[bool], on: str, off: str, seconds: float) -> None:
        self._device, self._signal, self._on, self._off, self.seconds = device, signal, on, off, seconds
        self._owed = False

    async def light(self) -> None:
        """Open or switch on, and wait until it followed. Whatever goes wrong after a byte may be out is taken back.

        :raises InstrumentError: the laser complained.
        :raises ChangeUnconfirmed: it did not follow.
        :raises StopLatched: everything is stopped; nothing was sent.
        """
        try:
            await self._device.tell_checked(self._on)
            if not await self._becomes(True):
                raise ChangeUnconfirmed(
                    f"{self._signal.name}: still False after {self.seconds:g} s; {self._off!r} is sent",
                    hint="is an interlock open, the key on, the laser under local control? see its faults and history",
                )
        except StopLatched:
            raise
        except BaseException as error:
            error.add_note(f"{self._device.name}: {self._take_back()}")
            raise

    def _take_back(self) -> str:
        # Preempts: it waits for nothing, so that it is done also while this task is being cancelled.
        try:
            self._device.channel.preempt(self._off)
        except RdaqError as error:
            self._owed = True
            return f"{self._off!r} could not be sent, and is sent when the laser is back ({error.what})"
        return f"{self._off!r} was sent, since nobody knows whether it followed"

    async def dark(self) -> None:
        """Close or switch off, ahead of all that waits, and wait until it followed; complaints come last.

        :raises ChangeUnconfirmed: it did not follow.
        :raises InstrumentError: the laser complained.
        """
        device = self._device
        await device.channel.tell(self._off, lane=Lane.URGENT, safe=True)
        if not await self._becomes(False):
            raise ChangeUnconfirmed(
                f"{self._signal.name}: still True {self.seconds:g} s after {self._off!r}",
                hint="block the beam; use the laser's key or its interlock",
            )
        raise_first(await device.empty_errors(), device.name, self._off)

    async def _becomes(self, wanted: bool) -> bool:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.seconds
        while await self._device.now(self._signal) is not wanted:
            if clock() > deadline:
                return False
            await asyncio.sleep(POLL)
        return True

    async def after_reconnect(self) -> None:
        """Take back what was under way when the link was lost; tell what is different since."""
        before = self._device.seen(self._signal)
        if self._owed:
            self._owed = False
            logger.warning("%s: the link was lost while it was to be True; sending %r", self._signal.name, self._off)
            await self._device.channel.tell(self._off, lane=Lane.URGENT, safe=True)
        now = await self._device.now(self._signal)
        if before is not None and before.value != now:
            logger.warning(
                "%s: is %s since its link came back, was %s before; it stays so", self._signal.name, now, before.value
            )

    def safe_state(self, name: str, question: str, safe: str) -> SafeState:
        """How stop-all makes dark, and how the laser proves it.

        :param name: in the verdict.
        :param safe: regular expression of the replies that mean dark.
        """
        encode = self._device.protocol.encode
        return SafeState(
            device=name,
            halt=encode(self._off),
            preempt=True,
            question=encode(question),
            safe=safe,
            seconds=self.seconds,
            reply_timeout=TIMEOUT,
            first=True,
        )
