"""One axis of an ESP300."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from ophyd_async.core import (
    AsyncStatus,
    InstantMovableMock,
    StandardMovable,
    StandardReadable,
    default_mock_class,
)

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.devices._confirm import PATIENCE, confirming
from rdaq_ophyd.devices._esp300_base import Esp300Device
from rdaq_ophyd.devices._esp300_home import HomeMode
from rdaq_ophyd.devices._esp300_settings import HIGHEST, LOWEST
from rdaq_ophyd.devices._esp300_status import AxisStatus
from rdaq_ophyd.devices._esp300_unit_change import AxisUnitChange
from rdaq_ophyd.devices._motion import MARGIN, Interruptible
from rdaq_ophyd.devices._polled_fly import PolledFlyLogic
from rdaq_ophyd.devices._polled_flyer import PolledFlyer
from rdaq_ophyd.errors import MoveInterrupted, ReplyTimeout
from rdaq_ophyd.link import Lane, Link, SerialSettings
from rdaq_ophyd.signals import check_limits, check_value
from rdaq_ophyd.stop import SafeState

logger = logging.getLogger(__name__)

HOME_TIMEOUT = 120.0
"""Seconds for a home search: the longest stages (300 mm) at the slow default search velocity."""
STOP_MARGIN = 2.0
"""Seconds beyond the time of deceleration in which a stop must be confirmed: settling and a few exchanges."""


class Esp300AxisMock(InstantMovableMock):
    """An axis that arrives at once."""

    async def connect(self, device: StandardMovable[float]) -> None:
        """Its limits are those of the profile, and those declared."""
        await super().connect(device)
        if isinstance(device, Esp300Axis):
            device.note_limits()


@default_mock_class(Esp300AxisMock)
class Esp300Axis(AxisUnitChange, AxisStatus, StandardReadable, Interruptible, PolledFlyer):
    """One axis: moves, flies, reports where it is, knows its limits.

    :param link: URL of the controller's port (axes on one controller share it), or a link.
    :param number: of the axis on the controller, 1 to 3.
    :param name: of the device; its position has the same name.
    :param home_mode: what ``home`` looks for, also by its number (0 to 6); None: as configured on the controller.
    :param tolerance: how far from its target the axis may stand after a move, in its own units; None: 10 µm or 0.01°.
    :param limits: lowest and highest target, in its own units, whatever the controller's software limits are: the
        tighter of the two hold. They count from the controller's zero, so home before you rely on them.
    :param max_velocity: highest velocity, in its own units per second; the tighter of it and the controller's holds.
    :param may_power_off: stop-all may take the motor's power when the axis does not stop otherwise. Never for an axis
        that drops without power.
    :param serial: line settings other than 19200 8N1 without flow control.
    :raises LimitError: ``limits`` are not two finite numbers, the lower first, or ``max_velocity`` is not above zero.
    """

    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.PREEMPTS,
        0.005,
        "ST is written past all that waits; then the axis decelerates; stop() returns within 5 s more",
    )

    def __init__(
        self,
        link: Link | str,
        number: int,
        name: str = "",
        *,
        home_mode: HomeMode | int | None = None,
        tolerance: float | None = None,
        limits: tuple[float, float] | None = None,
        max_velocity: float | None = None,
        may_power_off: bool = False,
        serial: SerialSettings | None = None,
    ) -> None:
        if not 1 <= number <= 6:
            raise ValueError(f"axis {number}: an ESP300 has axes 1 to 3, an ESP7000 up to 6")
        self.number = number
        if home_mode is not None:
            self._chosen_home_mode = HomeMode.of(home_mode) if isinstance(home_mode, int) else HomeMode(home_mode)
        self._limits = check_limits(f"axis {number}", limits)
        if max_velocity is not None:
            check_limits(f"axis {number}: max_velocity", (0.0, max_velocity))
        self._max_velocity = max_velocity
        self._profile = self._limits, tolerance, max_velocity
        self._may_power_off = may_power_off
        super().__init__(link, number, name, serial=serial)
        self.follow_limits()

    @cached_property
    def movable_logic(self) -> PolledFlyLogic:
        """How the axis moves and flies."""
        return PolledFlyLogic(
            setpoint=self.setpoint,
            readback=self.readback,
            done=self.done,
            velocity=self.velocity,
            acceleration=self.acceleration,
            deceleration=self.deceleration,
            low_limit=self.low_limit,
            high_limit=self.high_limit,
            send_stop=self.halt,
            follow_stop=self._stop_behind,
            raise_errors=self.raise_errors,
            forget_errors=self.forget_errors,
            done_now=lambda: self.now(self.done),
            last_seen=lambda: self.seen(self.readback),
            limits=self._limits,
            why_short=self._why_short,
            set_velocity=lambda speed: self.velocity.set(speed),
            check_velocity=self._check_velocity,
        )

    @property
    def flyable_logic(self) -> PolledFlyLogic:
        """How the axis moves and flies."""
        return self.movable_logic

    @property
    def _logic(self) -> PolledFlyLogic:
        return self.movable_logic

    async def _why_short(self) -> str:
        if await self.enabled.get_value(cached=False):
            return ""
        return f"its motor is off: look why, then switch it on, {self.name.replace('-', '.')}.enabled"

    def _check_velocity(self, speed: float) -> None:
        signal = self.velocity
        check_value(signal.name, speed, self.limits_of(signal), None)

    async def handshake(self) -> None:
        """Make sure that the controller and this axis are there; an axis of a controller device asks for itself only.

        :raises InstrumentError: the controller has no such axis.
        """
        if not isinstance(self.parent, Esp300Device):
            await self.identify()
        try:
            await self.channel.ask("{axis}SN?")
        except ReplyTimeout:
            await self.raise_errors()
            raise

    async def after_connect(self) -> None:
        """Take the units from the controller's configuration.

        :raises BadReply: the unit code is none of the manual's.
        """
        await self.after_reconnect()
        await self.take_unit()
        self.take_profile()

    async def after_reconnect(self) -> None:
        """Stop the axis if it may still be on its way since the link was lost."""
        self._active_high = None
        if self.movable_logic.adrift:
            logger.warning("%s: may have been moving since its link was lost; it is told to stop", self.label)
            self.halt()

    async def raise_errors(self) -> None:
        """Read the controller's error queue and raise what it holds about this axis.

        :raises InstrumentError: the controller queued an error of this axis, such as 113, *the motor is not enabled*.
        """
        if self._mock is not None:
            return
        await self.empty_errors()
        self.errors.raise_for(self.number, self.label)
        self.errors.settled(self.number)

    async def forget_errors(self) -> None:
        """Read the controller's error queue and drop what it holds about this axis; each error is logged."""
        if self._mock is not None:
            return
        await self.empty_errors()
        for fault in self.errors.claim(self.number):
            logger.info("%s: error %d (%s) belongs to a motion that was stopped", self.label, fault.code, fault.cause)

    def halt(self) -> None:
        """Put a stop on the wire now, from any thread, without an event loop. The move in progress fails.

        :raises LinkClosed: there is no link to the controller.
        """
        logic = self.movable_logic
        logic.interrupts.add()
        if self._mock is None:
            logic.adrift = True
            self.channel.preempt("{axis}ST")
        logic.adrift = False

    def note_stop(self) -> None:
        """Moves in progress, and those not yet sent, end as interrupted."""
        self.movable_logic.interrupts.add()

    def safe_states(self) -> Sequence[SafeState]:
        """Stopped, as ``MD?`` tells; an axis of a controller device is declared there."""
        return () if isinstance(self.parent, Esp300Device) else (self.safe_state(b"%dST\r" % self.number),)

    def safe_state(self, halt: bytes, abort: bytes = b"") -> SafeState:
        """How this axis is stopped: by ``halt``, within the time that its deceleration takes."""
        return SafeState(
            device=self.name,
            halt=halt,
            preempt=True,
            question=b"%dMD?\r" % self.number,
            end=b"\r\n",
            safe="1",
            seconds=self._braking + STOP_MARGIN,
            reply_timeout=self.protocol.timeout,
            abort=abort,
            power_off=b"%dMF\r" % self.number if self._may_power_off else b"",
        )

    @property
    def may_power_off(self) -> bool:
        """Whether stop-all may take the motor's power."""
        return self._may_power_off

    def _stop_behind(self) -> None:
        if self._mock is None:
            # The question keeps it in turn: an urgent command without reply may pass the exchange in flight.
            protocol = self.channel.protocol
            command = protocol.encode(f"{self.number}ST", f"{self.number}MD?")
            self.channel.link.submit(
                command, reply=protocol.reply, lane=Lane.URGENT, timeout=protocol.timeout, safe=True
            )

    async def _halt_motion(self) -> None:
        self.halt()

    async def stop(self, success: bool = False) -> None:
        """Decelerate to a stop and confirm it; for an axis that stands still, one exchange.

        Returns, however busy or mute the port, within the time that its deceleration takes and 5 s. May be repeated.

        :param success: whether a move in progress then counts as succeeded.
        :raises StopUnconfirmed: it still moved after the time that its deceleration takes, or did not answer.
        :raises LinkClosed: there is no link to the controller; the stop could not be sent.
        """
        await super().stop(success)
        seconds = self._braking + STOP_MARGIN
        hint = "look at the stage; use the controller's front panel or its emergency stop"
        async with confirming(self.name, seconds, hint):
            await self.movable_logic.confirm_stop(seconds)
        await self.movable_logic.ended(PATIENCE)

    @property
    def _braking(self) -> float:
        """Seconds that the axis takes to decelerate from its velocity."""
        speed, rate = self.last(self.velocity, 0.0), self.last(self.deceleration, 0.0)
        return speed / rate if rate > 0 else 0.0

    def search_home(self, mode: HomeMode | None = None) -> AsyncStatus[None]:
        """The same as ``home.trigger()``, with a mode for this once; None: that of ``home_mode``."""
        with self.movable_logic.interrupts.noted():
            return AsyncStatus(self._home(mode))

    async def _home(self, mode: HomeMode | None = None) -> None:
        """Search the home position and wait until it is found; `yield from bps.trigger(axis.home, wait=True)`.

        :raises InstrumentError: the search failed: 120 (*homing aborted*) where the stage has no such switch, 103
            (*following error*) at a mechanical stop.
        :raises MoveInterrupted: it was stopped; home again before moving.
        :raises MoveTimeout: it took longer than 120 s, or three times all of the travel at ``home_velocity``.
        """
        logic = self.movable_logic
        logic.refuse_in_flight()
        seconds = max(HOME_TIMEOUT, self._travel_time())
        async with logic.motion(lambda: self._start_home(mode), lambda: seconds, "searching home") as before:
            if logic.interrupts.count != before:
                await self.forget_errors()
                raise MoveInterrupted(f"{self.name}: the home search was stopped", hint="home again before moving")
            await self.raise_errors()
        await self.readback.get_value(cached=False)

    def _travel_time(self) -> float:
        """Seconds for all of the travel and back at the velocity of a home search, and a margin."""
        travel = self.last(self.high_limit, HIGHEST) - self.last(self.low_limit, LOWEST)
        speed = self.last(self.home_velocity, 0.0)
        return 3.0 * travel / speed + MARGIN if speed > 0 else 0.0

    async def _start_home(self, mode: HomeMode | None) -> None:
        mode = self._chosen_home_mode if mode is None else HomeMode(mode)
        command = f"{self.number}OR{'' if mode is None else mode.code}"
        if (check := self.write_checker) is not None:
            await self.channel.checked(command, check)
