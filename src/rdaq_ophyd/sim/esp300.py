"""Newport ESP300 motion controller, simulated from its manual: commands, error queue, three moving axes."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

from rdaq_ophyd.sim import _esp300_axis as axis_faults
from rdaq_ophyd.sim._esp300_axis import Axis, is_finite
from rdaq_ophyd.sim._esp300_tables import PARAMETERS, STAGES, Parameter, Stage, message
from rdaq_ophyd.sim._instrument import Instrument

__all__ = ["FAULTS", "SimEsp300", "Stage"]

#: Faults of the hardware that a test may cause, by name: the axis part of the error code.
FAULTS = {
    "amplifier": axis_faults.AMPLIFIER_FAULT,
    "following_error": axis_faults.FOLLOWING_ERROR,
    "hardware_limit_positive": axis_faults.HARDWARE_LIMIT_POSITIVE,
    "hardware_limit_negative": axis_faults.HARDWARE_LIMIT_NEGATIVE,
}

EMERGENCY_STOP, NO_SUCH_COMMAND, OUT_OF_RANGE, NO_SUCH_AXIS = 4, 6, 7, 9
AXIS_MISSING, PARAMETER_MISSING = 37, 38
AXIS_PARAMETER, VELOCITY_EXCEEDED, ACCELERATION_EXCEEDED = 1, 10, 11

#: Tick of the time stamps of ``TB?``, s.
TICK = 400e-6
#: Depth of the error queue; the oldest is lost when it overflows.
ERROR_DEPTH = 10
#: Longest wait of ``WS`` and ``WT``, ms.
MAX_WAIT = 60_000.0
#: Largest position that ``DH`` may define, mm or degrees.
MAX_POSITION = 1e9

_COMMAND = re.compile(r"\s*(\d*)\s*([A-Za-z]{2})\s*(.*?)\s*", re.DOTALL)


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Call(NamedTuple):
    """A parsed command: the axis number or None, the mnemonic, the parameter as text."""

    number: int | None
    name: str
    text: str
    now: float


class SimEsp300(Instrument):
    """The controller with its stages; 19 200 baud, commands end with CR, replies with CR LF.

    :param axes: how many of the stages are connected.
    :param stages: what they are; the first two are linear (±25 mm, ±12.5 mm), the third rotates (±170°).
    :param speed: factor on all velocities and accelerations.
    :param latency: seconds per command.
    """

    name = "esp300"
    baud: ClassVar[int] = 19_200
    terminator = b"\r"

    def __init__(
        self, axes: int = 3, *, stages: Sequence[Stage] = STAGES, speed: float = 1.0, latency: float = 0.0
    ) -> None:
        super().__init__(latency=latency)
        self.axes: dict[int, Axis] = {}
        for number, stage in enumerate(stages[:axes], 1):
            self.axes[number] = Axis(stage, speed, partial(self._report_axis, number))
        self.errors: deque[tuple[int, int]] = deque(maxlen=ERROR_DEPTH)
        self._start: float | None = None
        self._hold: Callable[[], float] | None = None

    def cause(self, number: int, fault: str, now: float) -> None:
        """Let a fault of the hardware (see ``FAULTS``) happen on an axis at ``now``; call it through ``Port.call``."""
        self.elapse(now)
        self.axes[number].fault(FAULTS[fault], now)

    def split(self, line: str) -> list[str]:
        """Commands between semicolons."""
        return [command for command in line.split(";") if command.strip()]

    def mnemonic(self, command: str) -> str:
        """The two letters."""
        match = _COMMAND.fullmatch(command)
        return match[2].upper() if match else ""

    def execute(self, command: str, now: float) -> bytes | None:
        """Carry out a command; a refused one leaves an error in the queue and no reply."""
        self._hold = None
        try:
            answer = self._dispatch(command, now)
        except _Refused as refused:
            self._report(refused.code, now)
            return None
        return None if answer is None else answer.encode("latin-1") + b"\r\n"

    def overlong(self, now: float) -> None:
        """A line longer than the buffer is no command."""
        self._report(NO_SUCH_COMMAND, now)

    def elapse(self, now: float) -> None:
        """Let the axes move, in the order in which their motions end, so that their errors come in order."""
        if self._start is None:
            self._start = now
        for axis in sorted(self.axes.values(), key=Axis.done_at):
            axis.elapse(now)

    def held_until(self) -> float:
        """``WS``, ``WP`` and ``WT`` make all later commands wait, a stop among them."""
        return self._hold() if self._hold else float("-inf")

    def _report(self, code: int, t: float) -> None:
        self.errors.append((code, self._ticks(t)))

    def _report_axis(self, number: int, n: int, t: float) -> None:
        self._report(100 * number + n, t)

    def _ticks(self, t: float) -> int:
        return 0 if self._start is None else max(0, int((t - self._start) / TICK))

    def _dispatch(self, command: str, now: float) -> str | None:
        match = _COMMAND.fullmatch(command)
        if match is None:
            raise _Refused(NO_SUCH_COMMAND)
        number = int(match[1]) if match[1] else None
        call = _Call(number, match[2].upper(), match[3], now)
        if call.name in _CONTROLLER:
            return _CONTROLLER[call.name](self, call)
        if call.name in _AXIS:
            return _AXIS[call.name](self, call, self._axis(call))
        if call.name in PARAMETERS:
            return self._parameter(call, self._axis(call), PARAMETERS[call.name])
        raise _Refused(NO_SUCH_COMMAND)

    def _axis(self, call: _Call) -> Axis:
        if call.number is None:
            raise _Refused(AXIS_MISSING)
        if call.number not in self.axes:
            raise _Refused(NO_SUCH_AXIS)
        return self.axes[call.number]

    def _chosen(self, call: _Call) -> list[Axis]:
        return list(self.axes.values()) if call.number is None else [self._axis(call)]

    def _parameter(self, call: _Call, axis: Axis, parameter: Parameter) -> str | None:
        scale = axis.scale if parameter.kind == "scaled" else 1.0
        if call.text == "?":
            return _spoken(axis.values[call.name] / scale, parameter)
        value = _hexadecimal(call) if parameter.kind == "hex" else _number(call) * scale
        if not parameter.low <= value <= parameter.high:
            raise _Refused(_axis_code(call, AXIS_PARAMETER))
        self._check(call, axis, value)
        axis.values[call.name] = float(int(value)) if parameter.kind == "integer" else value
        return None

    def _check(self, call: _Call, axis: Axis, value: float) -> None:
        """Ranges that depend on other values of the axis."""
        if call.name in {"VA", "OH", "OL", "JH", "JW"} and value > axis.values["VU"]:
            raise _Refused(_axis_code(call, VELOCITY_EXCEEDED))
        if call.name in {"AC", "AG", "AE"} and value > axis.values["AU"]:
            raise _Refused(_axis_code(call, ACCELERATION_EXCEEDED))
        below, above = axis.values["SL"], axis.values["SR"]
        if (call.name == "SL" and value >= above) or (call.name == "SR" and value <= below):
            raise _Refused(_axis_code(call, AXIS_PARAMETER))

    # Commands of the controller.

    def _error_code(self, _: _Call) -> str:
        return str(self.errors.popleft()[0] if self.errors else 0)

    def _error_text(self, call: _Call) -> str:
        code, ticks = self.errors.popleft() if self.errors else (0, self._ticks(call.now))
        return f"{code}, {ticks}, {message(code)}"

    def _status(self, call: _Call) -> str:
        moving = sum(1 << n - 1 for n, axis in self.axes.items() if axis.done_at() > call.now)
        power = 0x10 if any(axis.motor_on for axis in self.axes.values()) else 0
        return chr(0x40 | power | moving)

    def _hardware(self, call: _Call) -> str:
        """The levels of the inputs as they are, whatever level a limit switch is configured to have when reached."""
        first = second = 0
        for n, axis in self.axes.items():
            inverted = not int(axis.values["ZH"]) & 0x20
            positive, negative = axis.at_limit(call.now)
            first |= (positive != inverted) << n - 1 | (negative != inverted) << n + 7
            first |= axis.amplifier_fault << n + 15
            second |= axis.at_home(call.now) << n - 1
        return f"{first:X}H, {second:X}H"

    def _stop(self, call: _Call) -> None:
        for axis in self._chosen(call):
            axis.stop(call.now)

    def _abort(self, call: _Call) -> None:
        self._report(EMERGENCY_STOP, call.now)
        for axis in self.axes.values():
            configured = int(axis.values["ZE"])
            if configured & 0x3 == 0x3:
                axis.freeze(call.now, motor_off=True)
            elif configured & 0x5 == 0x5:
                axis.stop(call.now, "AE")

    def _wait_stop(self, call: _Call) -> None:
        axes, delay = self._chosen(call), _wait(call)
        self._hold = lambda: max(axis.done_at() for axis in axes) + delay

    def _wait_time(self, call: _Call) -> None:
        until = call.now + _wait(call)
        self._hold = lambda: until

    def _reset(self, call: _Call) -> None:
        self.errors.clear()
        for axis in self.axes.values():
            axis.freeze(call.now, motor_off=True)
        self.errors.clear()

    # Commands of an axis.

    def _position(self, call: _Call, axis: Axis) -> str:
        return _place(axis.position(call.now), axis)

    def _target(self, _: _Call, axis: Axis) -> str:
        return _place(axis.target(), axis)

    def _move(self, call: _Call, axis: Axis) -> str | None:
        if call.text == "?":
            return self._target(call, axis)
        distance = _number(call) * axis.scale
        axis.move_to(distance if call.name == "PA" else axis.target() + distance, call.now)
        return None

    def _directed(self, call: _Call, axis: Axis) -> None:
        sign = {"+": 1, "-": -1}.get(_given(call))
        if sign is None:
            raise _Refused(OUT_OF_RANGE)
        (axis.jog if call.name == "MV" else axis.to_hardware_limit)(sign, call.now)

    def _home(self, call: _Call, axis: Axis) -> None:
        mode = _number(call) if call.text else axis.values["OM"]
        if mode not in range(7):
            raise _Refused(_axis_code(call, AXIS_PARAMETER))
        axis.home(int(mode), call.now)

    def _power(self, call: _Call, axis: Axis) -> str | None:
        if call.text == "?":
            return str(int(axis.motor_on))
        if call.name == "MO":
            axis.power()
        else:
            axis.freeze(call.now, motor_off=True)
        return None

    def _define_home(self, call: _Call, axis: Axis) -> None:
        position = _number(call) * axis.scale if call.text else 0.0
        if abs(position) > MAX_POSITION:
            raise _Refused(_axis_code(call, AXIS_PARAMETER))
        axis.define_position(position, call.now)

    def _unit(self, call: _Call, axis: Axis) -> str | None:
        if call.text == "?":
            return str(axis.unit)
        code = _number(call)
        if not axis.accepts_unit(int(code)):
            raise _Refused(_axis_code(call, AXIS_PARAMETER))
        axis.unit = int(code)
        return None

    def _wait_position(self, call: _Call, axis: Axis) -> None:
        crossed = axis.trajectory.time_at(_number(call) * axis.scale - axis.offset)
        until = axis.done_at() if crossed is None else crossed
        self._hold = lambda: min(until, axis.done_at())


def _given(call: _Call) -> str:
    if not call.text:
        raise _Refused(PARAMETER_MISSING)
    return call.text


def _number(call: _Call) -> float:
    if not is_finite(_given(call)):
        raise _Refused(OUT_OF_RANGE)
    return float(call.text)


def _hexadecimal(call: _Call) -> int:
    match = re.fullmatch(r"(?:0[xX])?([0-9A-Fa-f]{1,8})[hH]?", _given(call))
    if match is None:
        raise _Refused(OUT_OF_RANGE)
    return int(match[1], 16)


def _wait(call: _Call) -> float:
    milliseconds = _number(call) if call.text else 0.0
    if not 0.0 <= milliseconds <= MAX_WAIT:
        raise _Refused(OUT_OF_RANGE)
    return milliseconds / 1000.0


def _axis_code(call: _Call, n: int) -> int:
    return 100 * (call.number or 0) + n


def _place(position: float, axis: Axis) -> str:
    return f"{position / axis.scale:.{int(axis.values['FP'])}f}"


def _spoken(value: float, parameter: Parameter) -> str:
    if parameter.kind == "hex":
        return f"{int(value):X}H"
    return str(int(value)) if parameter.kind == "integer" else f"{value:.6f}"


_Controller = Callable[[SimEsp300, _Call], str | None]
_CONTROLLER: dict[str, _Controller] = {
    "TE": SimEsp300._error_code,
    "TB": SimEsp300._error_text,
    "TS": SimEsp300._status,
    "TX": lambda _, __: "@",
    "PH": SimEsp300._hardware,
    "VE": lambda _, __: "ESP300 Version 3.04 07/27/01",
    "ZU": lambda sim, _: f"{(1 << len(sim.axes)) - 1:X}H",
    "ST": SimEsp300._stop,
    "AB": SimEsp300._abort,
    "WS": SimEsp300._wait_stop,
    "WT": SimEsp300._wait_time,
    "RS": SimEsp300._reset,
    "SM": lambda _, __: None,
}
_AXIS: dict[str, Callable[[SimEsp300, _Call, Axis], str | None]] = {
    "TP": SimEsp300._position,
    "DP": SimEsp300._target,
    "PA": SimEsp300._move,
    "PR": SimEsp300._move,
    "TV": lambda _, call, axis: f"{axis.velocity(call.now) / axis.scale:.6f}",
    "DV": lambda _, call, axis: f"{axis.velocity(call.now) / axis.scale:.6f}",
    "MD": lambda _, call, axis: str(int(axis.done_at() <= call.now)),
    "MV": SimEsp300._directed,
    "MT": SimEsp300._directed,
    "OR": SimEsp300._home,
    "MO": SimEsp300._power,
    "MF": SimEsp300._power,
    "DH": SimEsp300._define_home,
    "SN": SimEsp300._unit,
    "ID": lambda _, __, axis: f"{axis.stage.model}, {axis.stage.serial}",
    "WP": SimEsp300._wait_position,
    "UF": lambda _, __, ___: None,
}
