"""One axis of an ESP300."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar

from bluesky.protocols import Location
from ophyd_async.core import (
    CalculatableTimeout,
    InstantMovableMock,
    SignalR,
    SignalRW,
    StandardMovable,
    StandardReadable,
    TriggerableCommand,
    WatchableAsyncStatus,
    default_mock_class,
)
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.devices._esp300_base import Esp300Device
from rdaq_ophyd.devices._esp300_home import HomeCommand
from rdaq_ophyd.devices._esp300_units import UNITS
from rdaq_ophyd.devices._motion import PolledAxisLogic
from rdaq_ophyd.errors import BadReply, LinkError, MoveInterrupted, MoveTimeout, ReplyTimeout, StopUnconfirmed
from rdaq_ophyd.link import Lane, Link, SerialSettings
from rdaq_ophyd.signals import Ask, Do, Tell, check_limits, tighter
from rdaq_ophyd.stop import SafeState

logger = logging.getLogger(__name__)

HOME_TIMEOUT = 120.0
"""Seconds for a home search: the longest stages (300 mm) at the slow default search velocity."""
STOP_MARGIN = 2.0
"""Seconds beyond the time of deceleration in which a stop must be confirmed: settling and a few exchanges."""
STOP_PATIENCE = 3.0
"""Seconds more for a mute controller: the exchange in flight, its late reply, and the last question each time out."""


LOWEST, HIGHEST = -25.0, 25.0
"""Software limits in mock mode."""


class Esp300AxisMock(InstantMovableMock):
    """An axis that arrives at once."""

    async def connect(self, device: StandardMovable[float]) -> None:
        """Its limits are those of the profile, and those declared."""
        await super().connect(device)
        if isinstance(device, Esp300Axis):
            device.note_limits()


@default_mock_class(Esp300AxisMock)
class Esp300Axis(Esp300Device, StandardReadable, StandardMovable[float]):
    """One axis: moves, reports where it is, knows its limits.

    :param link: URL of the controller's port (axes on one controller share it), or a link.
    :param number: of the axis on the controller, 1 to 3.
    :param name: of the device; its position has the same name.
    :param home_mode: where ``home`` searches: 0 the zero of the encoder, 1 switch and index, 2 switch, 3/4
        positive/negative limit, 5/6 the same and index; None: as configured on the controller.
    :param tolerance: how far from its target the axis may stand after a move, in its own units; None: 10 µm or 0.01°.
    :param limits: lowest and highest target, in its own units, whatever the controller's software limits are: the
        tighter of the two hold. They count from the controller's zero, so home before you rely on them.
    :param may_power_off: stop-all may take the motor's power when the axis does not stop otherwise. Never for an axis
        that drops without power.
    :param serial: line settings other than 19200 8N1 without flow control.
    :raises LimitError: ``limits`` are not two finite numbers, the lower first.
    """

    readback: Annotated[
        SignalR[float], Ask("{axis}TP?", precision=4, poll=0.1, units="mm"), Format.HINTED_UNCACHED_SIGNAL
    ]
    setpoint: Annotated[SignalRW[float], Ask("{axis}DP?", "{axis}PA{value:.7f}", precision=4, units="mm")]
    velocity: Annotated[
        SignalRW[float],
        Ask("{axis}VA?", "{axis}VA{value:.6f}", units="mm/s", initial=10.0, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    acceleration: Annotated[
        SignalRW[float],
        Ask("{axis}AC?", "{axis}AC{value:.6f}", units="mm/s^2", initial=40.0, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    deceleration: Annotated[
        SignalRW[float],
        Ask("{axis}AG?", "{axis}AG{value:.6f}", units="mm/s^2", initial=40.0, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    low_limit: Annotated[
        SignalRW[float],
        Ask("{axis}SL?", "{axis}SL{value:.6f}", units="mm", initial=LOWEST, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    high_limit: Annotated[
        SignalRW[float],
        Ask("{axis}SR?", "{axis}SR{value:.6f}", units="mm", initial=HIGHEST, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    enabled: Annotated[
        SignalRW[bool],
        Ask("{axis}MO?", {True: "{axis}MO", False: "{axis}MF"}, initial=True, safe=(False,)),
        Format.CONFIG_SIGNAL,
    ]
    """Whether the motor has power; without it the axis does not move."""
    unit_code: Annotated[SignalR[int], Ask("{axis}SN?", initial=2)]
    """The unit that the axis counts in, by the manual's code (2 millimetre, 7 degree …)."""
    stage_model: Annotated[SignalR[str], Ask("{axis}ID?", initial="mock stage"), Format.CONFIG_SIGNAL]
    done: Annotated[SignalR[bool], Ask("{axis}MD?", initial=True)]
    """True while the axis stands still."""
    halt_motion: Annotated[TriggerableCommand, Do("_halt_motion")]
    """Decelerate to a stop, without waiting for it."""
    define_home: Annotated[TriggerableCommand, Tell("{axis}DH")]
    """From now on the present position counts as zero."""
    home: Annotated[HomeCommand, Do("_home")]
    """Search the home position; done when it is found."""

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
        home_mode: int | None = None,
        tolerance: float | None = None,
        limits: tuple[float, float] | None = None,
        may_power_off: bool = False,
        serial: SerialSettings | None = None,
    ) -> None:
        if not 1 <= number <= 6:
            raise ValueError(f"axis {number}: an ESP300 has axes 1 to 3, an ESP7000 up to 6")
        if home_mode is not None and home_mode not in range(7):
            raise ValueError(f"home_mode {home_mode}: 0 to 6 (manual, command OR)")
        self.number = number
        self._home_mode = home_mode
        self._tolerance = tolerance
        self._limits = check_limits(f"axis {number}", limits)
        self._may_power_off = may_power_off
        super().__init__(link, number, name, serial=serial)
        self.follow(self.low_limit, lambda _: self.note_limits())
        self.follow(self.high_limit, lambda _: self.note_limits())

    @cached_property
    def movable_logic(self) -> PolledAxisLogic:
        """How the axis moves."""
        return PolledAxisLogic(
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
        )

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
        code = await self.unit_code.get_value(cached=False)
        if code not in UNITS:
            raise BadReply(f"{self.name}: unit code {code}; expected 0 to 11", hint="see command SN in the manual")
        unit = UNITS[code]
        positions = (self.readback, self.setpoint, self.low_limit, self.high_limit)
        self.set_metadata(*positions, units=unit.symbol, precision=unit.precision)
        self.set_metadata(self.velocity, units=f"{unit.symbol}/s", precision=unit.precision)
        self.set_metadata(self.acceleration, self.deceleration, units=f"{unit.symbol}/s^2", precision=unit.precision)
        self.movable_logic.tolerance = unit.tolerance if self._tolerance is None else self._tolerance
        self.note_limits()

    async def after_reconnect(self) -> None:
        """Stop the axis if it may still be on its way since the link was lost."""
        if self.movable_logic.adrift:
            logger.warning("%s: may have been moving since its link was lost; it is told to stop", self.label)
            self.halt()

    def note_limits(self) -> None:
        """From now on ``setpoint`` takes what both the controller, as far as it was read, and the profile allow."""
        limits = tighter((self.last(self.low_limit, LOWEST), self.last(self.high_limit, HIGHEST)), self._limits)
        self.set_metadata(self.setpoint, self.readback, limits=limits)

    async def raise_errors(self) -> None:
        """Read the controller's error queue and raise what it holds about this axis.

        :raises InstrumentError: names axis and cause.
        """
        if self._mock is not None:
            return
        await self.empty_errors()
        self.errors.raise_for(self.number, self.label)

    async def forget_errors(self) -> None:
        """Read the controller's error queue and drop what it holds about this axis; each error is logged."""
        if self._mock is not None:
            return
        await self.empty_errors()
        for fault in self.errors.claim(self.number):
            logger.info("%s: error %d (%s) belongs to a motion that was stopped", self.label, fault.code, fault.cause)

    def set(
        self, new_position: float, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT"
    ) -> WatchableAsyncStatus[float]:
        """Move to ``new_position``; a stop from now on ends the move, also one that comes before anything was sent."""
        with self.movable_logic.interrupts.noted():
            return super().set(new_position, timeout)

    async def locate(self) -> Location[float]:
        """Where the axis was sent last and where it is, asked now."""
        # Not from a subscription: one that a stopped move closes before its first value would never answer.
        setpoint, readback = await asyncio.gather(
            self.setpoint.get_value(cached=False), self.readback.get_value(cached=False)
        )
        return Location(setpoint=setpoint, readback=readback)

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
        logic = self.movable_logic
        if success:
            logic.interrupts.pardoned = logic.interrupts.count
        seconds = self._braking + STOP_MARGIN
        try:
            async with asyncio.timeout(seconds + STOP_PATIENCE):
                await logic.confirm_stop(seconds)
        except (MoveTimeout, LinkError, TimeoutError) as error:
            raise StopUnconfirmed(
                f"{self.name}: stop was sent, but not confirmed: {str(error) or 'no turn to ask for it'}",
                hint="look at the stage; use the controller's front panel or its emergency stop",
            ) from error

    @property
    def _braking(self) -> float:
        """Seconds that the axis takes to decelerate from its velocity."""
        speed, rate = self.last(self.velocity, 0.0), self.last(self.deceleration, 0.0)
        return speed / rate if rate > 0 else 0.0

    async def _home(self) -> None:
        """Search the home position and wait until it is found; `yield from bps.trigger(axis.home, wait=True)`."""
        logic = self.movable_logic
        async with logic.motion(self._start_home, lambda: HOME_TIMEOUT, "searching home") as before:
            if logic.interrupts.count != before:
                await self.forget_errors()
                raise MoveInterrupted(f"{self.name}: the home search was stopped", hint="home again before moving")
            await self.raise_errors()
        await self.readback.get_value(cached=False)

    async def _start_home(self) -> None:
        mode = "" if self._home_mode is None else str(self._home_mode)
        command = f"{self.number}OR{mode}"
        if (check := self.write_checker) is not None:
            await self.channel.checked(command, check)
