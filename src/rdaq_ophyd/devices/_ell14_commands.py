"""What an ELL14 does besides moving to an angle: homing, jogging, care of its motors, its place on the bus."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from functools import cached_property
from typing import Annotated

from ophyd_async.core import SignalRW, TriggerableCommand
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.devices._ell14_base import Ell14Device
from rdaq_ophyd.devices._ell14_discovery import probe
from rdaq_ophyd.devices._ell14_info import MOCK, Info, MotorInfo
from rdaq_ophyd.devices._ell14_motion import OVERHEAD, SILENCE, RotatorLogic
from rdaq_ophyd.devices._ell14_protocol import ADDRESSES, digits, pulses, status
from rdaq_ophyd.devices._ell14_status import BUSY, OK, failure
from rdaq_ophyd.devices._motion import MotionCommand
from rdaq_ophyd.errors import InstrumentError, LimitError, LinkClosed, MoveInterrupted, ReplyTimeout, StopLatched
from rdaq_ophyd.link import Lane, Link, SerialSettings
from rdaq_ophyd.signals import Do, Measure, Sample, Tell

TURN = 360.0
"""Degrees; a home search goes no further."""
SEARCH_TIME = 15.0
"""Seconds for one motor's resonance at most; the manual tells none."""
CARE_TIME = 600.0
"""Seconds for optimising or cleaning at most ("several minutes", manual, "om", "cm")."""


class Ell14Commands(Ell14Device):
    """The commands, for ``Ell14``."""

    jog_step: Annotated[
        SignalRW[float],
        Measure("_read_jog_step", units="deg", precision=3, limits=(0.0, 360.0), initial=90.0, write="_write_jog_step"),
        Format.CONFIG_SIGNAL,
    ]
    """What ``jog_forward`` and ``jog_backward`` turn by; 0: without an end, until ``stop``."""
    home_offset: Annotated[
        SignalRW[float],
        Measure(
            "_read_home_offset",
            units="deg",
            precision=3,
            limits=(-360.0, 360.0),
            initial=0.0,
            write="_write_home_offset",
        ),
        Format.CONFIG_SIGNAL,
    ]
    """Of the home position from its switch; counts from the next home search on."""
    home: Annotated[MotionCommand, Do("_home")]
    """Search home clockwise."""
    home_counter_clockwise: Annotated[MotionCommand, Do("_home_back")]
    """The same, the other way."""
    jog_forward: Annotated[MotionCommand, Do("_jog_forward")]
    """Turn by ``jog_step``, in a series of moves where ``segment`` is shorter. Where the step is 0, until ``stop``,
    which is refused where there are limits."""
    jog_backward: Annotated[MotionCommand, Do("_jog_backward")]
    """The same, the other way."""
    search_frequency: Annotated[MotionCommand, Do("_search")]
    """Find the resonance of both motors; the mount may turn. ``save`` keeps it."""
    optimise: Annotated[MotionCommand, Do("_optimise")]
    """Optimise the motors: takes minutes, turns, and occupies the whole bus."""
    clean: Annotated[MotionCommand, Do("_clean")]
    """Clean the mechanics: takes minutes, turns, and occupies the whole bus."""
    save: Annotated[TriggerableCommand, Tell("{address}us")]
    """Keep settings, address and resonances without power."""
    halt_motion: Annotated[TriggerableCommand, Do("_halt_motion")]
    """Tell it to stop, without waiting for it."""

    def __init__(
        self, link: Link | str, address: str | int, name: str = "", *, serial: SerialSettings | None = None
    ) -> None:
        self.address = str(address).upper()
        if self.address not in tuple(ADDRESSES):
            raise ValueError(f"address {address!r}: a device on this bus has one of {ADDRESSES}")
        self._info = MOCK
        super().__init__(link, self.address, name, serial=serial)

    @cached_property
    def movable_logic(self) -> RotatorLogic:
        """How it moves."""
        raise NotImplementedError

    def halt(self) -> None:
        """Stop it."""
        raise NotImplementedError

    @property
    def info(self) -> Info:
        """What the device said of itself when it was connected."""
        return self._info

    def _pulses(self, angle: float) -> int:
        return round(angle * self._info.per_degree)

    async def _read_jog_step(self, lane: Lane) -> Sample:
        counted = await self.channel.value(self.jog_step.name, "{address}gj", pulses, lane=lane, share=True)
        return Sample(counted / self._info.per_degree)

    async def _write_jog_step(self, angle: float) -> None:
        await self._write("sj", angle)

    async def _read_home_offset(self, lane: Lane) -> Sample:
        counted = await self.channel.value(self.home_offset.name, "{address}go", pulses, lane=lane, share=True)
        return Sample(counted / self._info.per_degree)

    async def _write_home_offset(self, angle: float) -> None:
        await self._write("so", angle)

    async def _write(self, letters: str, angle: float) -> None:
        await self.channel.checked(f"{self.address}{letters}{digits(self._pulses(angle))}", self.write_checker)

    # -- motions

    async def _begin(self, command: str) -> None:
        """Send a command that starts a motion, and, in one piece with it, the question whether it was taken."""
        if self._mock is not None:
            return
        sent = f"{self.address}{command}"
        code = status(await self.channel.exchange(sent, f"{self.address}gs"))
        if code not in (OK, BUSY):
            self.channel.link.resync()
            raise failure(self.name, code, f"in answer to {sent!r}")

    async def _halt_motion(self) -> None:
        self.halt()

    async def _home(self) -> None:
        await self._home_by("ho0")

    async def _home_back(self) -> None:
        await self._home_by("ho1")

    async def _home_by(self, command: str) -> None:
        speed = await self.movable_logic.speed()
        await self._bounded(command, TURN / speed + OVERHEAD, "searching home")
        await self.movable_logic.readback.get_value(cached=False)

    async def _bounded(self, command: str, seconds: float, doing: str, again: Callable[[], None] | None = None) -> None:
        """Send a command whose motion ends by itself, and wait for that."""
        logic = self.movable_logic
        before = logic.interrupts.at_call()
        async with logic.motion(doing, before):
            deadline = time.monotonic() + 1.5 * seconds + SILENCE
            logic.aim(None)
            await logic.run(lambda: self._begin(command), seconds, doing, before, deadline, again)
        if logic.interrupts.count != before:
            raise MoveInterrupted(f"{self.name}: told to stop while {doing}, which is over now")

    async def _jog_forward(self) -> None:
        await self._jog("fw", 1)

    async def _jog_backward(self) -> None:
        await self._jog("bw", -1)

    async def _jog(self, command: str, sign: int) -> None:
        logic, step = self.movable_logic, await self.jog_step.get_value(cached=False)
        if step == 0:
            await self._jog_on(command)
            return
        here = await logic.readback.get_value(cached=False)
        target = here + sign * step
        await logic.check_move(target)
        if self._mock is None and logic.segment is not None and step > logic.segment:
            seconds = await logic.calculate_timeout(here, target)
            await logic.move(target, lambda: seconds)
            return
        await self._bounded(command, step / await logic.speed() + OVERHEAD, f"jogging to {target:g}")
        await logic.readback.get_value(cached=False)

    async def _jog_on(self, command: str) -> None:
        """Turn without an end; done when it began."""
        logic, doing = self.movable_logic, "jogging without an end"
        if logic.limits is not None:
            raise LimitError(
                f"{self.name}: jog_step is 0, and a jog without an end leaves the limits",
                hint=f"set jog_step; allowed: {logic.limits[0]:g} to {logic.limits[1]:g} deg",
            )
        before = logic.interrupts.at_call()
        async with logic.motion(doing, before):
            logic.look(before, doing)
            logic.aim(None)
            logic.adrift = True  # should the link be lost, it is stopped when that is back
            logic.begins(math.inf, stoppable=True)
            try:
                await logic.interrupts.unless_stopped(self._begin(command), before)
            except (InstrumentError, StopLatched):
                logic.adrift, logic.ends = False, 0.0
                raise
            except BaseException:
                self._halt_again()  # whether it turns is not known
                raise
        if self._mock is None:
            logic.supply().hold(logic.mover())
        if logic.interrupts.count != before:
            self._halt_again()  # a stop that was written first stopped nothing
            raise MoveInterrupted(f"{self.name}: told to stop while {doing} began")

    def _halt_again(self) -> None:
        with contextlib.suppress(LinkClosed):  # it is told when the link is back
            self.halt()

    async def _search(self) -> None:
        for motor in (1, 2):
            await self._bounded(f"s{motor}", SEARCH_TIME, f"searching the resonance of motor {motor}")

    async def _optimise(self) -> None:
        await self._care("om", "optimising its motors")

    async def _clean(self) -> None:
        await self._care("cm", "cleaning its mechanics")

    async def _care(self, command: str, doing: str) -> None:
        logic = self.movable_logic
        try:
            await self._bounded(command, CARE_TIME, doing, self.halt)
        except BaseException:
            if logic.ends:  # it goes on, for minutes
                self._halt_again()
            raise

    async def isolate(self, minutes: int) -> None:
        """Make the device deaf for a while; not even a stop reaches it.

        :param minutes: 1 to 255.
        :raises LimitError: other minutes than 1 to 255.
        """
        if not 1 <= minutes <= 255:
            raise LimitError(f"{self.name}: isolate for {minutes} minutes", hint="allowed: 1 to 255")
        await self._told(f"is{minutes:02X}")

    async def change_address(self, address: str, *, save: bool = False) -> None:
        """Give the device another address on the bus, at which it is known from now on.

        :param address: ``0`` to ``F``; no other device may have it.
        :param save: keep it without power.
        :raises LimitError: no address, or one at which a device answers already.
        """
        address = address.upper()
        if address not in tuple(ADDRESSES):
            raise LimitError(f"{self.name}: address {address!r}", hint=f"allowed: {', '.join(ADDRESSES)}")
        if address == self.address:
            return
        await self._make_sure_free(address)
        try:
            await self._told(f"ca{address}")
        except ReplyTimeout:
            there = await probe(self.channel, address)
            if there is None or there.serial != self._info.serial:
                raise
        self._move_to(address)
        if save:
            await self._told("us")

    def _move_to(self, address: str) -> None:
        if self.whole.channel.fields["address"] == self.address:
            self.whole.channel.fields["address"] = address  # of the bus, for its own questions
        self.address = self.channel.fields["address"] = address
        self.channel.who = f"address {address}"
        question, protocol = self.channel.text(self.heartbeat), self.channel.protocol
        self.channel.link.heartbeat(protocol.encode(question), protocol.framing(question), self.heartbeat_period)

    async def _make_sure_free(self, address: str) -> None:
        if (there := await probe(self.channel, address)) is not None:
            raise LimitError(
                f"{self.name}: address {address} belongs to the device with serial number {there.serial}",
                hint="two at one address spoil each other's replies; choose a free one",
            )

    async def _told(self, command: str) -> None:
        sent = f"{self.address}{command}"
        if (code := status(await self.channel.exchange(sent))) != OK:
            raise failure(self.name, code, f"in answer to {sent!r}")

    async def motor_info(self, motor: int) -> MotorInfo:
        """State and resonance of motor 1 or 2.

        :raises ValueError: there is no such motor.
        :raises InstrumentError: the device does not tell it.
        """
        if motor not in (1, 2):
            raise ValueError(f"motor {motor}: an ELL14 has 1 and 2")
        return await self.channel.value(self.name, f"{{address}}i{motor}", MotorInfo.parse)
