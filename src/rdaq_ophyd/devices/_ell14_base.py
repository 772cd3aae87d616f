"""What rotators and their bus share: protocol, and how settings are answered."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from rdaq_ophyd.devices._ell14_protocol import PROTOCOL, status
from rdaq_ophyd.devices._ell14_status import BUSY, OK, failure
from rdaq_ophyd.signals import LineProtocol, LinkDevice, WriteChecker

BUSY_PATIENCE = 5.0
"""Seconds to wait with a setting for the end of a motion: most of two turns at a quarter of the speed."""
BUSY_PAUSE = 0.1
"""Seconds between two attempts."""
SETTINGS = {"sv", "sj", "so", "us"}
"""What may be said again to a device that answered that it is busy: it moves nothing."""


class Ell14Device(LinkDevice):
    """The base of both."""

    protocol: ClassVar[LineProtocol] = PROTOCOL
    """Each frame begins with the address of its device. A reply is taken only from the device that was asked, with the
    letters and the length that belong to the question. Settings are answered by a status; one that finds the device
    busy is sent again for up to 5 s, since it moves nothing."""
    # It changes nothing, unlike `gs`, which would take an error away from the move that waits for it.
    heartbeat: ClassVar[str] = "{address}gp"

    @property
    def write_checker(self) -> WriteChecker:
        """Each command is answered by a status."""
        return WriteChecker("", self.check_write, self.unheard)

    async def check_write(self, reply: str, command: str) -> None:
        """Judge the status that answered ``command``; a setting that found the device busy is sent again.

        :raises InstrumentError: the device refused it, or stayed busy for 5 s.
        """
        end = time.monotonic() + BUSY_PATIENCE
        while (code := status(reply)) == BUSY and command[1:3] in SETTINGS and time.monotonic() < end:
            await asyncio.sleep(BUSY_PAUSE)
            reply = await self.channel.exchange(command)
        if code != OK:
            raise failure(self.name, code, f"in answer to {command!r}")
