"""The signals of an ESP300 axis that the manual's command table has, and the limits that they get from each other."""

from __future__ import annotations

from typing import Annotated

from ophyd_async.core import SignalR, SignalRW, TriggerableCommand
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.devices._esp300_base import Esp300Device
from rdaq_ophyd.devices._esp300_home import HomeMode
from rdaq_ophyd.devices._esp300_units import UNITS, AxisUnits
from rdaq_ophyd.devices._motion import MotionCommand
from rdaq_ophyd.errors import BadReply
from rdaq_ophyd.link import Lane
from rdaq_ophyd.signals import Ask, Do, Measure, Sample, Tell, tighter

LOWEST, HIGHEST = -25.0, 25.0
"""Software limits in mock mode."""
FASTEST, STEEPEST = 40.0, 160.0
"""Maximum velocity and acceleration in mock mode."""
NOWHERE = 1.0, -1.0
"""Limits that no value is in."""


class AxisSettings(Esp300Device):
    """What can be asked and told about one axis."""

    readback: Annotated[
        SignalR[float], Ask("{axis}TP?", precision=4, poll=0.1, units="mm"), Format.HINTED_UNCACHED_SIGNAL
    ]
    """Where it is, by the encoder or the steps counted. It has the name of the axis."""
    setpoint: Annotated[SignalRW[float], Ask("{axis}DP?", "{axis}PA{value:.7f}", precision=4, units="mm")]
    """Where it was sent last. Written directly it starts a move that nobody watches: use ``set`` of the axis."""
    velocity: Annotated[
        SignalRW[float],
        Ask("{axis}VA?", "{axis}VA{value:.6f}", units="mm/s", initial=10.0, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    """Of moves; at most ``max_velocity`` and that of the profile."""
    acceleration: Annotated[
        SignalRW[float],
        Ask("{axis}AC?", "{axis}AC{value:.6f}", units="mm/s^2", initial=40.0, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    """Of moves; at most ``max_acceleration``."""
    deceleration: Annotated[
        SignalRW[float],
        Ask("{axis}AG?", "{axis}AG{value:.6f}", units="mm/s^2", initial=40.0, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    """Of moves and of stops; at most ``max_acceleration``."""
    max_velocity: Annotated[SignalR[float], Ask("{axis}VU?", units="mm/s", initial=FASTEST), Format.CONFIG_SIGNAL]
    """The controller's own bound of ``velocity``."""
    max_acceleration: Annotated[
        SignalR[float], Ask("{axis}AU?", units="mm/s^2", initial=STEEPEST), Format.CONFIG_SIGNAL
    ]
    """The controller's own bound of ``acceleration`` and ``deceleration``."""
    low_limit: Annotated[
        SignalRW[float],
        Ask("{axis}SL?", "{axis}SL{value:.6f}", units="mm", initial=LOWEST, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    """Lowest target, the controller's software limit."""
    high_limit: Annotated[
        SignalRW[float],
        Ask("{axis}SR?", "{axis}SR{value:.6f}", units="mm", initial=HIGHEST, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    """Highest target, the controller's software limit."""
    enabled: Annotated[
        SignalRW[bool],
        Ask("{axis}MO?", {True: "{axis}MO", False: "{axis}MF"}, initial=True, safe=(False,)),
        Format.CONFIG_SIGNAL,
    ]
    """Whether the motor has power; without it the axis does not move."""
    unit_code: Annotated[SignalR[int], Ask("{axis}SN?", initial=2)]
    """The unit that the axis counts in, by the manual's code (2 millimetre, 7 degree …)."""
    unit: Annotated[SignalRW[AxisUnits], Measure("_unit", initial=AxisUnits.MILLIMETRE, write="_change_unit")]
    """Written only while the axis stands still; everything about the axis is then read again, in the new unit."""
    stage_model: Annotated[SignalR[str], Ask("{axis}ID?", initial="mock stage"), Format.CONFIG_SIGNAL]
    """Model and serial number of the stage."""
    done: Annotated[SignalR[bool], Ask("{axis}MD?", initial=True)]
    """True while the axis stands still."""
    halt_motion: Annotated[TriggerableCommand, Do("_halt_motion")]
    """Decelerate to a stop, without waiting for it."""
    define_home: Annotated[TriggerableCommand, Tell("{axis}DH")]
    """From now on the present position counts as zero."""
    home: Annotated[MotionCommand, Do("_home")]
    """Search the home position; done when it is found."""
    home_mode: Annotated[
        SignalRW[HomeMode],
        Measure("_home_mode_now", initial=HomeMode.SWITCH, write="_choose_home_mode"),
        Format.CONFIG_SIGNAL,
    ]
    """What ``home`` looks for: 0 to 6 of the command ``OR``, in this order; the first defines nothing. Chosen here it
    counts for this process; until then it is the controller's (``OM``)."""
    home_velocity: Annotated[
        SignalRW[float],
        Ask("{axis}OH?", "{axis}OH{value:.6f}", units="mm/s", initial=5.0, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    """Of the fast part of a home search."""

    _chosen_home_mode: HomeMode | None = None
    _profile: tuple[tuple[float, float] | None, float | None, float | None] = (None, None, None)
    """Limits, tolerance and highest velocity as the profile has them."""
    _limits: tuple[float, float] | None = None
    _max_velocity: float | None = None
    _code: int | None = None
    _unit_known: bool = False

    async def _unit(self, lane: Lane) -> Sample:
        return Sample(UNITS[await self._ask_unit(lane)].unit)

    async def _ask_unit(self, lane: Lane = Lane.NORMAL) -> int:
        reply = await self.channel.ask("{axis}SN?", lane=lane)
        if not reply.isdecimal() or int(reply) not in UNITS:
            raise BadReply(f"{self.name}: unit code {reply}; expected 0 to 11", hint="see command SN in the manual")
        return int(reply)

    async def _home_mode_now(self, lane: Lane) -> Sample:
        if self._chosen_home_mode is not None:
            return Sample(self._chosen_home_mode)
        reply = await self.channel.ask("{axis}OM?", lane=lane)
        if not reply.isdecimal() or int(reply) not in range(len(HomeMode)):
            self.channel.link.resync()
            raise BadReply(f"{self.label}: {reply!r} in answer to 'OM?'; expected 0 to 6")
        return Sample(HomeMode.of(int(reply)))

    async def _choose_home_mode(self, mode: HomeMode) -> None:
        self._chosen_home_mode = HomeMode(mode)

    def follow_limits(self) -> None:
        """Let limits be those of the controller whenever they are read."""
        for signal in (self.low_limit, self.high_limit, self.max_velocity, self.max_acceleration):
            self.follow(signal, lambda _: self.note_limits())

    def note_limits(self) -> None:
        """From now on signals take what both the controller, as far as it was read, and the profile allow."""
        place = tighter((self.last(self.low_limit, LOWEST), self.last(self.high_limit, HIGHEST)), self._limits)
        if not self._unit_known and self.seen(self.low_limit) is not None:
            place = NOWHERE  # these numbers are in a unit that is not known
        self.set_metadata(self.setpoint, self.readback, limits=place)
        profile = None if self._max_velocity is None else (0.0, self._max_velocity)
        speed = tighter((0.0, self.last(self.max_velocity, FASTEST)), profile)
        self.set_metadata(self.velocity, limits=speed)
        self.set_metadata(self.home_velocity, limits=(0.0, self.last(self.max_velocity, FASTEST)))
        steepest = self.last(self.max_acceleration, STEEPEST)
        self.set_metadata(self.acceleration, self.deceleration, limits=(0.0, steepest))

    async def take_unit(self) -> None:
        """Give all signals the unit that the controller has now.

        :raises BadReply: the unit code is none of the manual's.
        """
        self._code = code = await self._ask_unit()
        unit = UNITS[code]
        positions = (self.readback, self.setpoint, self.low_limit, self.high_limit)
        self.set_metadata(*positions, units=unit.symbol, precision=unit.precision)
        speeds = (self.velocity, self.max_velocity, self.home_velocity)
        self.set_metadata(*speeds, units=f"{unit.symbol}/s", precision=unit.precision)
        rates = (self.acceleration, self.deceleration, self.max_acceleration)
        self.set_metadata(*rates, units=f"{unit.symbol}/s^2", precision=unit.precision)
