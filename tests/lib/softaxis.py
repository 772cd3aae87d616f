"""Devices without hardware that do what a test tells them, and note in one list what was done to them."""

from __future__ import annotations

import asyncio

from ophyd_async.core import AsyncStatus, Device, StandardReadable, soft_signal_r_and_setter, soft_signal_rw
from parts import until

from rdaq_ophyd.errors import MoveInterrupted
from rdaq_ophyd.stop import latch


class SoftAxis(StandardReadable):
    """Arrives at once while ``free``; else it moves until it is freed, fails (``error``), or is halted."""

    interrupted: type[Exception] = MoveInterrupted
    """How it says so."""

    def __init__(self, name: str, log: list[str]) -> None:
        with self.add_children_as_readables():
            self.position, self._place = soft_signal_r_and_setter(float)
        super().__init__(name=name)
        self.log, self.free, self.deaf, self.halts = log, True, False, 0
        self.error: Exception | None = None
        self.moving = False

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        latch.check(f"{self.name}: a move")
        halts, self.moving = self.halts, True
        self.log.append(f"{self.name} moves to {value:g}")
        try:
            while not self.free:
                if self.error is not None:
                    raise self.error
                if self.halts != halts:
                    raise self.interrupted(f"{self.name}: told to stop on its way to {value:g}")
                await asyncio.sleep(0.001)
            self._place(value)
        finally:
            self.moving = False

    def halt(self) -> None:
        self.halts += 1
        self.log.append(f"{self.name} halt")

    async def stop(self, success: bool = True) -> None:
        self.log.append(f"{self.name} stop")
        self.halts += 1
        await until(lambda: not self.deaf)


class SoftFlyer(Device):
    """Flies from its kick-off until it is halted or told to complete."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(name=name)
        self.log, self.flying, self.landed = log, False, False

    @AsyncStatus.wrap
    async def kickoff(self) -> None:
        self.flying = True
        self.log.append(f"{self.name} flies")

    @AsyncStatus.wrap
    async def complete(self) -> None:
        await until(lambda: not self.flying or self.landed)
        if not self.landed:
            raise RuntimeError(f"{self.name} did not land")

    def halt(self) -> None:
        self.flying = False
        self.log.append(f"{self.name} halt")

    async def stop(self, success: bool = True) -> None:
        self.log.append(f"{self.name} stop")
        self.flying = False


class SoftLaser(Device):
    """Has a shutter and emission."""

    def __init__(self, name: str = "laser") -> None:
        self.shutter = soft_signal_rw(bool, True)
        self.emission = soft_signal_rw(bool, True)
        super().__init__(name=name)
