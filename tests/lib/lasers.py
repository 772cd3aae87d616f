"""A Mai Tai that is quick, and one to one with its driver."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rdaq_ophyd.devices.maitai import MaiTai
from rdaq_ophyd.signals import LineProtocol
from rdaq_ophyd.sim import Port, SimMaiTai


class QuickMaiTai(MaiTai):
    """Fed ten times a second, so that a watchdog of one second is long enough; and impatient."""

    protocol: ClassVar[LineProtocol] = replace(MaiTai.protocol, timeout=0.25)
    feed_period: ClassVar[float] = 0.1


def quick_laser(**settings) -> SimMaiTai:
    """Warmed up and off; what takes seconds takes milliseconds."""
    quick = {"warm": 100.0, "shutter_lag": 0.005, "emission_lag": 0.0, "tuning": 2000.0, "watchdog": 0.0}
    return SimMaiTai(**(quick | settings))


async def light(laser: MaiTai) -> None:
    """Emission on, shutter open."""
    await laser.armed.set(True)
    await laser.emission.set(True)
    await laser.shutter.set(True)


def state(port: Port) -> tuple[bool, bool]:
    """Emission and shutter, as the instrument itself knows them now."""

    def look(now: float) -> tuple[bool, bool]:
        port.instrument.elapse(now)
        return port.instrument.on, port.instrument.shutter

    return port.call(look)
