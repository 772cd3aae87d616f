"""One simulated ELL14: motor, encoder, settings, status. Places are mechanical, in degrees; readings are in pulses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from rdaq_ophyd.sim import _trajectory
from rdaq_ophyd.sim._trajectory import Piece, Trajectory

OK, TIMED_OUT, STALLED, WRONG_COMMAND, BAD_VALUE, RELEASED, BUSY = 0, 1, 2, 3, 4, 6, 9
OVER_CURRENT = 13

#: Degrees per second at 100 % (ELL14 data sheet), and the time in which they are reached, s.
SPEED, RISE = 430.0, 0.02
#: Below this velocity in percent the motor stalls under a usual load.
STALL_BELOW = 25
#: Time after which a motor that does not turn gives up, s.
STALL_TIME = 2.0
#: Time that a search for the resonance takes, and one that optimises or cleans, s.
SEARCH_TIME, CLEAN_TIME = 1.0, 60.0
#: Clock of the resonance periods, Hz, and the counts of one ampere (protocol manual, "I1").
PERIOD_CLOCK, AMPERE = 14_740_000, 1866
RESONANCE = 95_500.0


class Motion(NamedTuple):
    """What occupies the motor until ``end``."""

    kind: str
    end: float
    arrive: Callable[[float], str]


class Rotator:
    """A rotation mount.

    :param serial: eight digits.
    :param start: degrees from its home switch at which it stands when it is switched on; it reads 0 there until homed.
    :param pulses: of the encoder per ``travel``.
    :param travel: degrees.
    :param speed: factor on the velocity.
    """

    def __init__(
        self,
        serial: str = "11400517",
        *,
        start: float = 0.0,
        pulses: int = 143_360,
        travel: int = 360,
        firmware: int = 0x17,
        hardware: int = 0x01,
        imperial: bool = False,
        year: int = 2023,
        speed: float = 1.0,
    ) -> None:
        self.serial, self.pulses, self.travel = serial, pulses, travel
        self.firmware, self.hardware, self.year = firmware, hardware | 0x80 * imperial, year
        self.speed = speed
        self.status = OK
        self.settings = {"gv": 100, "gj": round(pulses / travel * 90), "go": 0}
        self.saved = dict(self.settings)
        self.trajectory = Trajectory.rest(float("-inf"), start)
        self.zero = start
        self.motion: Motion | None = None
        self.periods = {"1": PERIOD_CLOCK / RESONANCE, "2": PERIOD_CLOCK / (RESONANCE + 4000.0)}

    # -- what it says of itself

    def information(self) -> str:
        """The reply to ``in`` without the address."""
        return (
            f"IN0E{self.serial}{self.year:04d}{self.firmware:02X}{self.hardware:02X}{self.travel:04X}{self.pulses:08X}"
        )

    def motor(self, number: str) -> str:
        """The reply to ``i1`` and ``i2``."""
        turning = self.motion is not None
        current, period = round(AMPERE * (0.6 if turning else 0.0)), round(self.periods[number])
        return f"I{number}1{turning:d}{current:04X}FFFFFFFF{period:04X}{period - 2:04X}"

    def degrees(self, t: float) -> float:
        """Where it stands, from its home switch."""
        return self.trajectory.state(t)[0]

    def reading(self, t: float) -> int:
        """The encoder, in pulses."""
        return round((self.degrees(t) - self.zero) * self.per_degree)

    @property
    def per_degree(self) -> float:
        """Pulses."""
        return self.pulses / self.travel

    def position(self, t: float) -> str:
        """``PO`` and the encoder."""
        return f"PO{number(self.reading(t))}"

    def report(self) -> str:
        """The status, which reading clears; busy is no news that could be cleared."""
        if self.motion is not None:
            return f"GS{BUSY:02X}"
        status, self.status = self.status, OK
        return f"GS{status:02X}"

    def refuse(self, code: int) -> str:
        """Say ``code`` now, and keep it until it is asked for."""
        self.status = code
        return f"GS{code:02X}"

    # -- motion

    def done_at(self) -> float:
        """When the motor is free; in the past where it is."""
        return float("-inf") if self.motion is None else self.motion.end

    @property
    def moving(self) -> bool:
        """Whether it draws the current of a motor in motion."""
        return self.motion is not None

    def to_reading(self, pulses: int, now: float, arrive: Callable[[float], str] | None = None) -> None:
        """Start a move to where the encoder reads ``pulses``; ``arrive`` tells the end otherwise than by ``PO``."""
        self.to_place(self.zero + pulses / self.per_degree, now, arrive or self.position, "move")

    def to_place(self, place: float, now: float, arrive: Callable[[float], str], kind: str) -> None:
        """Start a motion to ``place``; a motor that is too slow stalls where it is."""
        speed = SPEED * self.speed * self.settings["gv"] / 100
        if self.settings["gv"] < STALL_BELOW:
            self.stall(now)
            return
        here, rise = self.degrees(now), speed / RISE
        self.trajectory = _trajectory.move(now, here, 0.0, place, speed, rise, rise, math.inf)
        self.motion = Motion(kind, self.trajectory.end, arrive)

    def home(self, counter_clockwise: bool, now: float) -> None:
        """Search the home position in one direction; there it reads 0."""
        goal, here = self.settings["go"] / self.per_degree, self.degrees(now)
        turns = (here - goal) / 360.0
        # The next one in that direction; at home already it does not go round.
        turn = math.ceil(turns - 1e-9) if counter_clockwise else math.floor(turns + 1e-9)
        self.to_place(goal + 360.0 * turn, now, self._homed, "home")

    def _homed(self, t: float) -> str:
        self.zero = self.degrees(t)
        return self.position(t)

    def by_button(self, t: float) -> str:
        """``BO`` and the encoder."""
        return f"BO{number(self.reading(t))}"

    def jog(self, sign: int, now: float, arrive: Callable[[float], str] | None = None) -> None:
        """Move by the jog step, or without an end where that is 0."""
        if self.settings["gj"]:
            self.to_reading(self.reading(now) + sign * self.settings["gj"], now, arrive)
            return
        speed = sign * SPEED * self.speed * self.settings["gv"] / 100
        self.trajectory = Trajectory((Piece(now, self.degrees(now), speed, 0.0),), math.inf, 0.0)
        self.motion = Motion("jog", math.inf, arrive or self.position)

    def occupy(self, kind: str, seconds: float, now: float) -> None:
        """The motor is busy with itself."""
        self.motion = Motion(kind, now + seconds, lambda _: f"GS{OK:02X}")

    def stall(self, now: float) -> None:
        """The motor is driven and does not turn."""
        self.trajectory = Trajectory.rest(now, self.degrees(now))
        self.motion = Motion("stall", now + STALL_TIME / self.speed, lambda _: self.refuse(STALLED))

    def stop(self, now: float) -> bool:
        """Stop what ``st`` stops: a jog without an end, and optimising or cleaning. Whether there was such a thing."""
        if self.motion is None or self.motion.kind not in {"jog", "clean"}:
            return False
        self.freeze(now)
        return True

    def freeze(self, now: float) -> None:
        """Stand still at once, without an answer."""
        self.trajectory, self.motion = Trajectory.rest(now, self.degrees(now)), None

    def elapse(self, now: float) -> list[tuple[float, str]]:
        """What it says of itself until ``now``, each with its time."""
        if self.motion is None or self.motion.end > now:
            return []
        ended, self.motion = self.motion, None
        return [(ended.end, ended.arrive(ended.end))]

    def power_cycle(self, now: float) -> None:
        """Lose what was not saved, and the place of zero."""
        self.freeze(now)
        self.settings, self.status, self.zero = dict(self.saved), OK, self.degrees(now)


def number(value: int) -> str:
    """Eight digits of a 32-bit two's complement."""
    return f"{value & 0xFFFFFFFF:08X}"


def signed(digits: str) -> int:
    """The inverse of ``number``."""
    value = int(digits, 16)
    return value - (1 << 32) if value >= 1 << 31 else value
