"""Tables of the ESP300 manual: error messages, parameters of an axis, unit codes; and the simulated stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

#: Global errors (manual, appendix A).
MESSAGES = {
    0: "NO ERROR DETECTED",
    4: "EMERGENCY STOP ACTIVATED",
    6: "COMMAND DOES NOT EXIST",
    7: "PARAMETER OUT OF RANGE",
    9: "AXIS NUMBER OUT OF RANGE",
    27: "COMMAND NOT ALLOWED",
    37: "AXIS NUMBER MISSING",
    38: "COMMAND PARAMETER MISSING",
}
#: Errors of an axis; the code sent is axis × 100 + the key.
AXIS_MESSAGES = {
    1: "PARAMETER OUT OF RANGE",
    2: "AMPLIFIER FAULT DETECTED",
    3: "FOLLOWING ERROR THRESHOLD EXCEEDED",
    4: "POSITIVE HARDWARE LIMIT DETECTED",
    5: "NEGATIVE HARDWARE LIMIT DETECTED",
    6: "POSITIVE SOFTWARE LIMIT DETECTED",
    7: "NEGATIVE SOFTWARE LIMIT DETECTED",
    8: "MOTOR / STAGE NOT CONNECTED",
    9: "FEEDBACK SIGNAL FAULT DETECTED",
    10: "MAXIMUM VELOCITY EXCEEDED",
    11: "MAXIMUM ACCELERATION EXCEEDED",
    13: "MOTOR NOT ENABLED",
    20: "HOMING ABORTED",
    29: "DIGITAL I/O INTERLOCK DETECTED",
    30: "COMMAND NOT ALLOWED DURING HOMING",
}


def message(code: int) -> str:
    """The text that ``TB?`` adds to an error code."""
    if code < 100:
        return MESSAGES[code]
    return f"AXIS-{code // 100} {AXIS_MESSAGES[code % 100]}"


#: Units of ``SN`` that are lengths, in mm, and angles, in degrees. Counts (0) and motor steps (1) are a stage's own.
LENGTHS = {2: 1.0, 3: 1e-3, 4: 25.4, 5: 25.4e-3, 6: 25.4e-6}
ANGLES = {7: 1.0, 8: 0.9, 9: 57.29577951308232, 10: 0.05729577951308232, 11: 5.729577951308232e-05}

Kind = Literal["scaled", "number", "integer", "hex"]


class Parameter(NamedTuple):
    """A value of an axis that a command sets and the same with ``?`` reads.

    ``scaled`` values are kept in mm or degrees (per s, s²) and spoken in the unit of ``SN``.
    """

    kind: Kind
    default: float
    low: float
    high: float


_BIG = 1e9
#: What an axis keeps beside its motion. Velocities and accelerations get a stage's values (see ``Stage``).
PARAMETERS: dict[str, Parameter] = {
    "VA": Parameter("scaled", 1.0, 0.0, _BIG),  # velocity
    "VU": Parameter("scaled", 1.0, 0.0, _BIG),  # its maximum
    "VB": Parameter("scaled", 0.0, 0.0, _BIG),  # base velocity of a stepper
    "AC": Parameter("scaled", 1.0, 0.0, _BIG),  # acceleration
    "AG": Parameter("scaled", 1.0, 0.0, _BIG),  # deceleration
    "AU": Parameter("scaled", 1.0, 0.0, _BIG),  # their maximum
    "AE": Parameter("scaled", 1.0, 0.0, _BIG),  # deceleration of an emergency stop
    "JK": Parameter("scaled", 1.0, 0.0, _BIG),  # jerk
    "JH": Parameter("scaled", 1.0, 0.0, _BIG),  # jog, high speed
    "JW": Parameter("scaled", 1.0, 0.0, _BIG),  # jog, low speed
    "OH": Parameter("scaled", 1.0, 0.0, _BIG),  # home search, high speed
    "OL": Parameter("scaled", 1.0, 0.0, _BIG),  # home search, low speed
    "SL": Parameter("scaled", -1.0, -_BIG, _BIG),  # left software limit
    "SR": Parameter("scaled", 1.0, -_BIG, _BIG),  # right software limit
    "SH": Parameter("scaled", 0.0, -_BIG, _BIG),  # position after homing
    "BA": Parameter("scaled", 0.0, 0.0, _BIG),  # backlash compensation
    "FE": Parameter("scaled", 1.0, 0.0, _BIG),  # following error threshold
    "DB": Parameter("scaled", 0.0, 0.0, _BIG),  # dead band
    "SU": Parameter("number", 1e-4, 1e-9, _BIG),  # encoder resolution, in mm or degrees
    "FR": Parameter("number", 1e-4, 1e-9, _BIG),  # full step resolution
    "FP": Parameter("integer", 4, 0, 7),  # decimals of positions
    "CL": Parameter("number", 0.0, 0.0, 60_000.0),  # closed loop interval, ms
    "KP": Parameter("number", 25.0, 0.0, _BIG),
    "KI": Parameter("number", 5.0, 0.0, _BIG),
    "KD": Parameter("number", 30.0, 0.0, _BIG),
    "KS": Parameter("number", 200.0, 0.0, _BIG),
    "VF": Parameter("number", 0.0, 0.0, _BIG),
    "AF": Parameter("number", 0.0, 0.0, _BIG),
    "QI": Parameter("number", 1.0, 0.0, 10.0),  # motor current, A
    "QV": Parameter("number", 24.0, 0.0, 60.0),  # motor voltage, V
    "QT": Parameter("number", 7.0, 0.0, _BIG),  # tachometer gain
    "QG": Parameter("number", 1.0, 0.0, _BIG),  # gear constant
    "QS": Parameter("integer", 100, 1, 1000),  # microsteps per step
    "QM": Parameter("integer", 3, 0, 4),  # motor type
    "OM": Parameter("integer", 2, 0, 6),  # home search mode
    "TJ": Parameter("integer", 1, 1, 6),  # trajectory mode
    "ZA": Parameter("hex", 0x0123, 0, 0xFFFF),  # amplifier input-output
    "ZB": Parameter("hex", 0x0, 0, 0xFFFF),  # feedback
    "ZE": Parameter("hex", 0x3, 0, 0xFFFF),  # emergency stop: bit 0 heed it, 1 motor power off, 2 abort with AE
    "ZF": Parameter("hex", 0x3, 0, 0xFFFF),  # following error: bit 0 heed it, 1 motor power off, 2 abort with AE
    "ZH": Parameter("hex", 0x25, 0, 0xFFFF),  # hardware limits: the same, and 5 the switches are high when reached
    "ZS": Parameter("hex", 0x5, 0, 0xFFFF),  # software limits
}


@dataclass(frozen=True)
class Stage:
    """A stage as its memory chip describes it to the controller; mm or degrees, s.

    :param unit: unit code of ``SN``, 2 or 7.
    :param limit: software limits are ± this value.
    :param overtravel: distance from a software limit to the hardware limit switch.
    :param home_switch: whether there is one, in the middle; without it a search for it finds both ends of travel.
    :param limit_switches: whether there are; without them the stage runs into its stops at the same places.
    """

    model: str
    serial: str
    unit: int
    limit: float
    overtravel: float
    velocity: float
    max_velocity: float
    acceleration: float
    max_acceleration: float
    resolution: float = 1e-4
    settle: float = 0.02
    home_switch: bool = True
    limit_switches: bool = True

    def parameters(self, speed: float) -> dict[str, float]:
        """Start values of the axis, with everything ``speed`` times as fast as the stage."""
        values = {name: float(parameter.default) for name, parameter in PARAMETERS.items()}
        values |= dict.fromkeys(("VA", "JH"), self.velocity * speed)
        values |= dict.fromkeys(("OH", "JW"), self.velocity * speed / 2)
        values |= dict.fromkeys(("AC", "AG"), self.acceleration * speed)
        values |= dict.fromkeys(("AU", "AE"), self.max_acceleration * speed)
        values |= {"VU": self.max_velocity * speed, "OL": self.velocity * speed / 20}
        values |= {"JK": 10 * self.acceleration * speed, "SL": -self.limit, "SR": self.limit, "SU": self.resolution}
        return values


#: What stands on the bench unless told otherwise: two linear stages and a rotation stage.
STAGES = (
    Stage("ILS50CC", "SN B201", 2, 25.0, 1.0, 10.0, 40.0, 40.0, 160.0),
    Stage("MFA-CC", "SN B202", 2, 12.5, 0.5, 5.0, 10.0, 20.0, 80.0),
    Stage("PR50CC", "SN B203", 7, 170.0, 5.0, 20.0, 80.0, 80.0, 320.0),
)
