"""What the hardware of an ESP300 axis reports: its switches, its amplifier, its last fault."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from ophyd_async.core import SignalR

from rdaq_ophyd.devices._esp300_base import Esp300Device
from rdaq_ophyd.errors import BadReply
from rdaq_ophyd.link import Lane
from rdaq_ophyd.signals import Measure, Sample

MAJOR = 2
"""Alarm severity of a fault, as in EPICS."""
ACTIVE_HIGH = 1 << 5
"""Bit of ``ZH``: limit switches are high when they are reached."""
_REGISTERS = re.compile(r"([0-9A-F]{1,8})H\s*,\s*([0-9A-F]{1,8})H", re.IGNORECASE)
_REGISTER = re.compile(r"([0-9A-F]{1,8})H?", re.IGNORECASE)


class Inputs(NamedTuple):
    """Levels of the inputs of one axis, as the controller sees them (manual, command ``PH``)."""

    positive_limit: bool
    negative_limit: bool
    amplifier_fault: bool
    home: bool

    @classmethod
    def parse(cls, reply: str, axis: int) -> Inputs:
        """From both registers: limits from bit 0 and 8, amplifier faults from 16; home signals from 0 of the second.

        :raises ValueError: the reply is something else.
        """
        match = _REGISTERS.fullmatch(reply)
        if match is None:
            raise ValueError("two hexadecimal registers, such as 100H, 4H")
        first, second = (int(digits, 16) >> axis - 1 for digits in match.groups())
        return cls(bool(first & 1), bool(first >> 8 & 1), bool(first >> 16 & 1), bool(second & 1))


class AxisStatus(Esp300Device):
    """The signals; alarm severity 2 (major) with what prevents moves."""

    positive_limit_switch: Annotated[SignalR[bool], Measure("_positive_limit_switch", initial=False)]
    """Reached; the axis still moves the other way. Which level that is tells bit 5 of ``ZH``.

    :alarm major: it is reached.
    """
    negative_limit_switch: Annotated[SignalR[bool], Measure("_negative_limit_switch", initial=False)]
    """The same at the other end.

    :alarm major: it is reached.
    """
    home_switch: Annotated[SignalR[bool], Measure("_home_switch", initial=False)]
    """The level of the home signal: of most stages another one on each side of home."""
    amplifier_fault: Annotated[SignalR[bool], Measure("_amplifier_fault", initial=False)]
    """The motor's amplifier reports one; the controller then takes the motor's power.

    :alarm major: there is one.
    """
    fault: Annotated[SignalR[str], Measure("_fault", initial="")]
    """The last fault of the hardware (following error, limit switch …) that no motion without an error followed; else
    empty. Reading it reads the error queue: it tells also of a fault of an axis that stands still.

    :alarm major: there is one.
    """

    _active_high: bool | None = None

    async def _inputs(self, lane: Lane) -> Inputs:
        reply = await self.channel.exchange("PH?", lane=lane, safe=True, share=True)
        try:
            return Inputs.parse(reply, self.number)
        except ValueError as error:
            self.channel.link.resync()
            raise BadReply(f"{self.label}: {reply!r} in answer to 'PH?'; expected {error}") from error

    async def _limits_active_high(self, lane: Lane) -> bool:
        if self._active_high is None:
            reply = await self.channel.ask("{axis}ZH?", lane=lane)
            if (match := _REGISTER.fullmatch(reply)) is None:
                self.channel.link.resync()
                raise BadReply(f"{self.label}: {reply!r} in answer to 'ZH?'; expected a hexadecimal number")
            self._active_high = bool(int(match[1], 16) & ACTIVE_HIGH)
        return self._active_high

    async def _positive_limit_switch(self, lane: Lane) -> Sample:
        high = await self._limits_active_high(lane)
        return _alarm((await self._inputs(lane)).positive_limit is high)

    async def _negative_limit_switch(self, lane: Lane) -> Sample:
        high = await self._limits_active_high(lane)
        return _alarm((await self._inputs(lane)).negative_limit is high)

    async def _home_switch(self, lane: Lane) -> Sample:
        return Sample((await self._inputs(lane)).home)

    async def _amplifier_fault(self, lane: Lane) -> Sample:
        return _alarm((await self._inputs(lane)).amplifier_fault)

    async def _fault(self, lane: Lane) -> Sample:
        await self.empty_errors(lane=lane)
        fault = self.errors.standing(self.number)
        return Sample("") if fault is None else Sample(f"{fault.code}: {fault.cause}", MAJOR)


def _alarm(active: bool) -> Sample:
    return Sample(active, MAJOR if active else 0)
