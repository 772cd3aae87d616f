"""Newport ESP300 and ESP301 motion controllers (ESP300 user's manual)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Annotated, ClassVar

from bluesky.protocols import Location
from ophyd_async.core import (
    AsyncStatus,
    CalculatableTimeout,
    CommandBackend,
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
from rdaq_ophyd.devices._esp300_units import UNITS
from rdaq_ophyd.devices._motion import PolledAxisLogic
from rdaq_ophyd.errors import (
    BadReply,
    LinkError,
    MoveInterrupted,
    MoveTimeout,
    ReplyTimeout,
    StopUnconfirmed,
)
from rdaq_ophyd.link import Lane, Link, SerialSettings
from rdaq_ophyd.signals import Ask, Do, Tell
from rdaq_ophyd.stop import SafeState

logger = logging.getLogger(__name__)

__all__ = ["Esp300", "Esp300Axis"]

HOME_TIMEOUT = 120.0
"""Seconds for a home search: the longest stages (300 mm) at the slow default search velocity."""
STOP_MARGIN = 2.0
"""Seconds beyond the time of deceleration in which a stop must be confirmed: settling and a few exchanges."""


class HomeCommand(TriggerableCommand):
    """A command that lasts as long as it takes; it has a bound of its own."""

    def __init__(self, backend: CommandBackend[[], None], timeout: float | None = None, name: str = "") -> None:
        super().__init__(backend, timeout, name)

    def trigger(self, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT") -> AsyncStatus[None]:
        """Start the search; a stop from now on ends it, also one that comes before anything was sent."""
        if not isinstance(self.parent, Esp300Axis):
            raise TypeError(f"{self.name}: a HomeCommand belongs to an Esp300Axis")
        with self.parent.movable_logic.interrupts.noted():
            return super().trigger(timeout)


class Esp300AxisMock(InstantMovableMock):
    """An axis that arrives at once."""


@default_mock_class(Esp300AxisMock)
class Esp300Axis(Esp300Device, StandardReadable, StandardMovable[float]):
    """One axis: moves, reports where it is, knows its limits.

    :param link: URL of the controller's port (axes on one controller share it), or a link.
    :param number: of the axis on the controller, 1 to 3.
    :param name: of the device; its position has the same name.
    :param home_mode: where ``home`` searches: 0 the zero of the encoder, 1 switch and index, 2 switch, 3/4
        positive/negative limit, 5/6 the same and index; None: as configured on the controller.
    :param tolerance: how far from its target the axis may stand after a move, in its own units; None: 10 µm or 0.01°.
    :param may_power_off: stop-all may take the motor's power when the axis does not stop otherwise. Never for an axis
        that drops without power.
    :param serial: line settings other than 19200 8N1 without flow control.
    """

    readback: Annotated[
        SignalR[float], Ask("{axis}TP?", precision=4, poll=0.1, units="mm"), Format.HINTED_UNCACHED_SIGNAL
    ]
    setpoint: Annotated[SignalRW[float], Ask("{axis}DP?", "{axis}PA{value:.7f}", precision=4, units="mm")]
    velocity: Annotated[
        SignalRW[float], Ask("{axis}VA?", "{axis}VA{value:.6f}", units="mm/s", initial=10.0), Format.CONFIG_SIGNAL
    ]
    acceleration: Annotated[
        SignalRW[float], Ask("{axis}AC?", "{axis}AC{value:.6f}", units="mm/s^2", initial=40.0), Format.CONFIG_SIGNAL
    ]
    deceleration: Annotated[
        SignalRW[float], Ask("{axis}AG?", "{axis}AG{value:.6f}", units="mm/s^2", initial=40.0), Format.CONFIG_SIGNAL
    ]
    low_limit: Annotated[
        SignalRW[float], Ask("{axis}SL?", "{axis}SL{value:.6f}", units="mm", initial=-25.0), Format.CONFIG_SIGNAL
    ]
    high_limit: Annotated[
        SignalRW[float], Ask("{axis}SR?", "{axis}SR{value:.6f}", units="mm", initial=25.0), Format.CONFIG_SIGNAL
    ]
    enabled: Annotated[
        SignalRW[bool],
        Ask("{axis}MO?", {True: "{axis}MO", False: "{axis}MF"}, initial=True, safe=(False,)),
        Format.CONFIG_SIGNAL,
    ]
    unit_code: Annotated[SignalR[int], Ask("{axis}SN?", initial=2)]
    stage_model: Annotated[SignalR[str], Ask("{axis}ID?", initial="mock stage"), Format.CONFIG_SIGNAL]
    done: Annotated[SignalR[bool], Ask("{axis}MD?", initial=True)]
    halt_motion: Annotated[TriggerableCommand, Do("_halt_motion")]
    define_home: Annotated[TriggerableCommand, Tell("{axis}DH")]
    home: Annotated[HomeCommand, Do("_home")]

    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.PREEMPTS, 0.005, "ST is written past all that waits; then the axis decelerates"
    )

    def __init__(
        self,
        link: Link | str,
        number: int,
        name: str = "",
        *,
        home_mode: int | None = None,
        tolerance: float | None = None,
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
        self._may_power_off = may_power_off
        super().__init__(link, number, name, serial=serial)

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
        )

    async def handshake(self) -> None:
        """Make sure that the controller and this axis are there; an axis of a controller device asks for itself only.

        :raises InstrumentError: the controller has no such axis.
        """
        if not isinstance(self.parent, Esp300):
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
        code = await self.unit_code.get_value(cached=False)
        if code not in UNITS:
            raise BadReply(f"{self.name}: unit code {code}; expected 0 to 11", hint="see command SN in the manual")
        unit = UNITS[code]
        positions = (self.readback, self.setpoint, self.low_limit, self.high_limit)
        self.set_metadata(*positions, units=unit.symbol, precision=unit.precision)
        self.set_metadata(self.velocity, units=f"{unit.symbol}/s", precision=unit.precision)
        self.set_metadata(self.acceleration, self.deceleration, units=f"{unit.symbol}/s^2", precision=unit.precision)
        self.movable_logic.tolerance = unit.tolerance if self._tolerance is None else self._tolerance

    async def raise_errors(self) -> None:
        """Read the controller's error queue and raise what it holds about this axis.

        :raises InstrumentError: names axis and cause.
        """
        if self._mock is not None:
            return
        await self.errors.empty(self.channel.ask)
        self.errors.raise_for(self.number, self.label)

    async def forget_errors(self) -> None:
        """Read the controller's error queue and drop what it holds about this axis; each error is logged."""
        if self._mock is not None:
            return
        await self.errors.empty(self.channel.ask)
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
        self.movable_logic.interrupts.add()
        if self._mock is None:
            self.channel.preempt("{axis}ST")

    def note_stop(self) -> None:
        """Moves in progress, and those not yet sent, end as interrupted."""
        self.movable_logic.interrupts.add()

    def safe_states(self) -> Sequence[SafeState]:
        """Stopped, as ``MD?`` tells; an axis of a controller device is declared there."""
        return () if isinstance(self.parent, Esp300) else (self.safe_state(b"%dST\r" % self.number),)

    def safe_state(self, halt: bytes, abort: bytes = b"") -> SafeState:
        """How this axis is stopped: by ``halt``, within the time that its deceleration takes."""
        speed, rate = self.last(self.velocity, 0.0), self.last(self.deceleration, 0.0)
        return SafeState(
            device=self.name,
            halt=halt,
            preempt=True,
            question=b"%dMD?\r" % self.number,
            end=b"\r\n",
            safe="1",
            seconds=(speed / rate if rate > 0 else 0.0) + STOP_MARGIN,
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
        """Decelerate to a stop and confirm it. Does nothing to an axis that stands still.

        :param success: whether a move in progress then counts as succeeded.
        :raises StopUnconfirmed: it still moved after the time that its deceleration takes.
        """
        await super().stop(success)  # type: ignore[no-untyped-call]
        if success:
            self.movable_logic.interrupts.pardoned = self.movable_logic.interrupts.count
        try:
            if await self.done.get_value(cached=False):
                return
            speed, rate = await asyncio.gather(self.velocity.get_value(), self.deceleration.get_value())
            await self.movable_logic.wait_done((speed / rate if rate > 0 else 0.0) + STOP_MARGIN, "after a stop")
        except (MoveTimeout, LinkError) as error:
            raise StopUnconfirmed(
                f"{self.name}: stop was sent, but not confirmed: {error}",
                hint="look at the stage; use the controller's front panel or its emergency stop",
            ) from error

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
        await self.check_write(await self.channel.exchange(command, self.write_check), command)


class Esp300(Esp300Device, StandardReadable):
    """The controller with its axes as attributes: ``esp = Esp300(url, {1: "x", 2: "y"}); esp.x``.

    :param link: URL of the port, e.g. ``/dev/serial/by-id/…`` or ``tcp://host:port``, or a link.
    :param axes: the name of each axis in use, by its number.
    :param name: of the device; axes are named after it: ``esp-x``.
    :param may_power_off: numbers of the axes whose motors stop-all may take the power from; never of one that drops.
    :param serial: line settings other than 19200 8N1 without flow control.
    """

    firmware: Annotated[SignalR[str], Ask("VE?", initial="ESP300 mock"), Format.CONFIG_SIGNAL]
    halt_all: Annotated[TriggerableCommand, Do("_halt_all")]
    emergency_stop: Annotated[TriggerableCommand, Do("_emergency_stop")]
    """Stops at once and, unless configured otherwise (``ZE``), takes the power from all motors."""

    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.PREEMPTS, 0.005, "ST is written past all that waits; then the axes decelerate"
    )

    def __init__(
        self,
        link: Link | str,
        axes: Mapping[int, str],
        name: str = "",
        *,
        may_power_off: Collection[int] = (),
        serial: SerialSettings | None = None,
    ) -> None:
        if not axes:
            raise ValueError("an Esp300 needs at least one axis, such as {1: 'x'}")
        if stray := set(may_power_off) - set(axes):
            raise ValueError(f"may_power_off: no axis {', '.join(map(str, sorted(stray)))} in use; axes: {list(axes)}")
        self.axes = {n: Esp300Axis(link, n, may_power_off=n in may_power_off, serial=serial) for n in axes}
        for number, axis_name in axes.items():
            setattr(self, axis_name, self.axes[number])
        self.add_readables(list(self.axes.values()))
        super().__init__(link, None, name, serial=serial)

    async def handshake(self) -> None:
        """Make sure that it is an ESP300, and forget errors from before."""
        await self.identify()
        self.errors.claim(0)

    def halt(self) -> None:
        """Stop every axis now, from any thread, without an event loop. Moves in progress fail."""
        self._stop_all("ST")

    def note_stop(self) -> None:
        """Moves of all axes end as interrupted."""
        for axis in self.axes.values():
            axis.note_stop()

    def safe_states(self) -> Sequence[SafeState]:
        """Each axis stopped; ``ST`` stops also those that are not in use here."""
        axes = self.axes.values()
        # AB takes the power from every motor, as the controller is configured by default.
        abort = b"AB\r" if all(axis.may_power_off for axis in axes) else b""
        return [axis.safe_state(b"ST\r", abort) for axis in axes]

    def _stop_all(self, command: str) -> None:
        self.note_stop()
        if self._mock is None:
            self.channel.preempt(command)

    async def _halt_all(self) -> None:
        self.halt()

    async def _emergency_stop(self) -> None:
        self._stop_all("AB")

    async def stop(self, success: bool = False) -> None:
        """Stop every axis and confirm it.

        :raises StopUnconfirmed: an axis still moves.
        """
        self.halt()
        if success:
            for axis in self.axes.values():
                axis.movable_logic.interrupts.pardoned = axis.movable_logic.interrupts.count
        await asyncio.gather(*(axis.stop(success) for axis in self.axes.values()))
