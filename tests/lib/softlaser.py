"""A tunable laser and a meter of no maker, which none of the library's plans knows; noted in one list."""

from __future__ import annotations

from ophyd_async.core import AsyncStatus, Device, StandardReadable, StrictEnum, soft_signal_rw

from rdaq_ophyd.sim import Light


class Position(StrictEnum):
    """Of a shutter that speaks in words."""

    OPEN = "Open"
    CLOSED = "Closed"


class Switch(Device):
    """Settable and locatable, and notes what it was told."""

    def __init__(self, what: str, log: list[str]) -> None:
        self.what, self.told, self.on, self.deaf = what, log, False, False
        super().__init__()

    @AsyncStatus.wrap
    async def set(self, value: bool) -> None:
        self.told.append(f"{self.what} {'on' if value else 'off'}")
        if not (self.deaf and value):
            self.on = value

    async def locate(self):
        return {"setpoint": self.on, "readback": self.on}


class TunableLaser(StandardReadable):
    """Wants arming, then emits; its shutter is another step."""

    def __init__(self, name: str, log: list[str]) -> None:
        with self.add_children_as_readables():
            self.wavelength = soft_signal_rw(float, 800.0, units="nm")
        self.armed, self.emission, self.shutter = (Switch(w, log) for w in ("armed", "emission", "shutter"))
        super().__init__(name=name)

    async def light(self) -> Light:
        return Light(await self.wavelength.get_value(), self.emission.on, self.shutter.on)


class SoftMeter(StandardReadable):
    """Sees that laser."""

    def __init__(self, name: str, laser: TunableLaser) -> None:
        self._light = laser.light  # not the laser itself: it would become a part of the meter
        self.fails = False
        with self.add_children_as_readables():
            self.power = soft_signal_rw(float, 0.0, units="W")
        self.wavelength = soft_signal_rw(float, 800.0, units="nm")
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        if self.fails:
            raise RuntimeError("detector unplugged")
        await self.power.set((await self._light()).strength)
