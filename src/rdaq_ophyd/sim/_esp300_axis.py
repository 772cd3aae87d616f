"""One simulated axis: motor, motion between limits, homing, faults. Mechanical coordinates, mm or degrees."""

from __future__ import annotations

import math
from collections.abc import Callable

from rdaq_ophyd.sim import _trajectory
from rdaq_ophyd.sim._esp300_tables import ANGLES, LENGTHS, Stage
from rdaq_ophyd.sim._trajectory import Trajectory

AMPLIFIER_FAULT, FOLLOWING_ERROR = 2, 3
HARDWARE_LIMIT_POSITIVE, HARDWARE_LIMIT_NEGATIVE = 4, 5
SOFTWARE_LIMIT_POSITIVE, SOFTWARE_LIMIT_NEGATIVE = 6, 7
NOT_ENABLED, HOMING_ABORTED, DURING_HOMING = 13, 20, 30
#: Distance of the encoder's index pulse from a limit switch, mm or degrees.
INDEX_PULSE = 0.5


class Axis:
    """A motor with its stage.

    Positions inside are mechanical: 0 at the home switch. ``offset`` (set by homing and ``DH``) turns them into the
    controller's. Errors are told to ``report(n, t)``, n being the axis part of the code.
    """

    def __init__(self, stage: Stage, speed: float, report: Callable[[int, float], None]) -> None:
        self.stage, self.report = stage, report
        self.values = stage.parameters(speed)
        self.unit = stage.unit
        self.motor_on = False
        self.offset = 0.0
        self.homing = False
        self.amplifier_fault = False
        self.trajectory = Trajectory.rest(float("-inf"), 0.0)
        self._moving = False
        self._at_end: Callable[[float], None] = lambda _: None

    @property
    def scale(self) -> float:
        """Millimetres or degrees per unit that ``SN`` selected."""
        if self.unit in {0, 1}:
            return self.values["SU"]
        return (LENGTHS if self.stage.unit == 2 else ANGLES)[self.unit]

    def accepts_unit(self, code: int) -> bool:
        """Whether ``SN`` may select the unit: counts and steps, and the stage's own family."""
        return code in {0, 1} or code in (LENGTHS if self.stage.unit == 2 else ANGLES)

    def position(self, t: float) -> float:
        """Position at ``t``, as the encoder resolves it, in the controller's coordinates."""
        step = self.stage.resolution
        return round(self.trajectory.state(t)[0] / step) * step + self.offset

    def target(self) -> float:
        """Where the axis goes or was sent last, in the controller's coordinates."""
        return self.trajectory.target + self.offset

    def velocity(self, t: float) -> float:
        """Velocity at ``t``."""
        return self.trajectory.state(t)[1]

    def done_at(self) -> float:
        """When the axis stands still and has settled."""
        return self.trajectory.end + self.stage.settle

    def elapse(self, now: float) -> None:
        """Finish a motion that ended by ``now``, and those that began when it ended."""
        while self._moving and self.done_at() <= now:
            self._moving = False
            then, self._at_end = self._at_end, lambda _: None
            then(self.trajectory.end)

    def limits(self) -> tuple[float, float]:
        """Mechanical positions between which the controller lets the axis move."""
        hard = self.hard_limit
        return max(-hard, self.values["SL"] - self.offset), min(hard, self.values["SR"] - self.offset)

    @property
    def hard_limit(self) -> float:
        """Distance from the middle at which the limit switches sit."""
        return self.stage.limit + self.stage.overtravel

    def move_to(self, position: float, now: float) -> None:
        """Go to ``position`` (controller's coordinates), or report why not."""
        if self._refuses(now):
            return
        if not self.values["SL"] <= position <= self.values["SR"]:
            self.report(SOFTWARE_LIMIT_NEGATIVE if position < self.values["SL"] else SOFTWARE_LIMIT_POSITIVE, now)
            return
        goal = position - self.offset
        reachable = min(max(goal, -self.hard_limit), self.hard_limit)
        self._start(reachable, self.values["VA"], now)
        if goal != reachable:
            self._at_end = lambda t: self._met_end(1 if goal > 0 else -1, t)

    def jog(self, sign: int, now: float) -> None:
        """Move until told to stop, at the latest to the limit, which is then reported."""
        if self._refuses(now):
            return
        low, high = self.limits()
        place = self.trajectory.state(now)[0]
        goal = max(high, place) if sign > 0 else min(low, place)
        self._start(goal, self.values["VA"], now)
        if abs(goal) >= self.hard_limit:
            self._at_end = lambda t: self._met_end(sign, t)
        else:
            self._at_end = lambda t: self.report(SOFTWARE_LIMIT_POSITIVE + (sign < 0), t)

    def to_hardware_limit(self, sign: int, now: float) -> None:
        """Move to a limit switch, past the software limit."""
        if not self._refuses(now):
            self._start(sign * self.hard_limit, self.values["OH"], now)
            if not self.stage.limit_switches:
                self._at_end = lambda t: self._met_end(sign, t)

    def home(self, mode: int, now: float) -> None:
        """Search a reference.

        :param mode: 0 the zero position, 1 and 2 the home switch, 3 and 4 the limit switches, 5 and 6 their index.
        """
        if self._refuses(now):
            return
        self.homing = True
        if mode in {1, 2} and not self.stage.home_switch:
            self._seek(self.hard_limit, now, lambda t: self._seek(-self.hard_limit, t, self._found_nothing))
        elif mode > 2 and not self.stage.limit_switches:
            sign = 1 if mode in {3, 5} else -1
            self._seek(sign * self.hard_limit, now, lambda t: self._met_end(sign, t))
        else:
            self._seek(self._reference(mode), now, lambda _: self._found_home(keep=mode == 0))

    def _reference(self, mode: int) -> float:
        """Where the search of ``mode`` ends."""
        hard = self.hard_limit
        index = hard - INDEX_PULSE
        goal = {0: -self.offset, 3: hard, 4: -hard, 5: index, 6: -index}.get(mode, 0.0)
        return min(max(goal, -hard), hard)

    def _seek(self, goal: float, now: float, then: Callable[[float], None]) -> None:
        """A leg of a home search."""
        self._start(goal, self.values["OH"], now)
        self._at_end = then

    def stop(self, now: float, deceleration: str = "AG") -> None:
        """Decelerate to a stop."""
        place, velocity = self.trajectory.state(now)
        self._abort_homing(now)
        if velocity != 0.0:
            rate = self.values[deceleration]
            self.trajectory = _trajectory.brake(now, place, velocity, rate, self._room(place, velocity))

    def freeze(self, now: float, *, motor_off: bool) -> None:
        """Stand still at once, as with the power gone or on a limit switch."""
        self._abort_homing(now)
        if self.trajectory.end > now:
            self.trajectory = Trajectory.rest(now, self.trajectory.state(now)[0])
        self.motor_on = self.motor_on and not motor_off

    def fault(self, n: int, now: float) -> None:
        """A fault of the hardware. An amplifier's takes the motor's power; for the others that is configured."""
        settings = {FOLLOWING_ERROR: "ZF", HARDWARE_LIMIT_POSITIVE: "ZH", HARDWARE_LIMIT_NEGATIVE: "ZH"}
        configured = int(self.values[settings[n]]) if n in settings else 0x3
        self.amplifier_fault = self.amplifier_fault or n == AMPLIFIER_FAULT
        self.report(n, now)
        self.freeze(now, motor_off=configured & 0x3 == 0x3)

    def power(self) -> None:
        """Switch the motor on, which ends a fault of its amplifier."""
        self.motor_on, self.amplifier_fault = True, False

    def at_limit(self, now: float) -> tuple[bool, bool]:
        """Whether it stands on the positive and on the negative limit switch."""
        place = self.trajectory.state(now)[0]
        switches = self.stage.limit_switches
        return switches and place >= self.hard_limit, switches and place <= -self.hard_limit

    def at_home(self, now: float) -> bool:
        """The home signal: high on the positive side of the switch."""
        return self.stage.home_switch and self.trajectory.state(now)[0] >= 0.0

    def define_position(self, position: float, now: float) -> None:
        """Call the present place ``position``."""
        self.offset = position - self.trajectory.state(now)[0]

    def _start(self, goal: float, speed: float, now: float) -> None:
        place, velocity = self.trajectory.state(now)
        rates = max(speed, 1e-9), max(self.values["AC"], 1e-9), max(self.values["AG"], 1e-9)
        self.trajectory = _trajectory.move(now, place, velocity, goal, *rates, self._room(place, velocity))
        self._moving = True
        self._at_end = lambda _: None

    def _met_end(self, sign: int, now: float) -> None:
        """It ran into the end of its travel: onto a limit switch or, without one, against the stop."""
        limit = HARDWARE_LIMIT_POSITIVE if sign > 0 else HARDWARE_LIMIT_NEGATIVE
        self.fault(limit if self.stage.limit_switches else FOLLOWING_ERROR, now)

    def _found_nothing(self, now: float) -> None:
        self._abort_homing(now)

    def _room(self, place: float, velocity: float) -> float:
        """How far the axis may go on in the direction in which it moves."""
        low, high = self.limits()
        if not low <= place <= high:
            low, high = -self.hard_limit, self.hard_limit
        return high - place if velocity > 0 else place - low

    def _refuses(self, now: float) -> bool:
        if not self.motor_on:
            self.report(NOT_ENABLED, now)
        elif self.homing:
            self.report(DURING_HOMING, now)
        return not self.motor_on or self.homing

    def _abort_homing(self, now: float) -> None:
        if self.homing:
            self.homing = False
            self.report(HOMING_ABORTED, now)
        self._at_end = lambda _: None

    def _found_home(self, *, keep: bool) -> None:
        self.homing = False
        if not keep:
            self.offset = self.values["SH"] - self.trajectory.target


def is_finite(text: str) -> bool:
    """Whether ``text`` is a number that the controller can read."""
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False
