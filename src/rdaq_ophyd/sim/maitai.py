"""Spectra-Physics Mai Tai laser, simulated from its manual: warm-up, emission, shutter, tuning, watchdog, errors."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Literal

from rdaq_ophyd.sim import _maitai_words as words
from rdaq_ophyd.sim._instrument import Instrument, Reply
from rdaq_ophyd.sim._maitai_words import Call, Refused
from rdaq_ophyd.sim._optics import Light

__all__ = ["SimMaiTai"]

IDENTITY = "Spectra Physics,MaiTai,3227/51054/40856,0245-2.00.34 / CD00000019 / 214-00.004.057"
#: Output at the peak of the tuning curve, W and nm, and the distance from it at which nothing would be left, nm.
PEAK_POWER, PEAK_WAVELENGTH, GAIN_WIDTH = 3.0, 800.0, 320.0
#: Pump power set at the factory, W.
PUMP_POWER = 14.0
#: Seconds in which the output ramps up after ``ON``, and after which it pulses once power and wavelength stand.
RAMP, PULSING_AFTER = 0.5, 0.3
#: Longest time of the watchdog, s; the manual names none.
LONGEST_WATCHDOG = 1e4
BUFFER, HISTORY = 16, 16
BAUD_RATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600)
#: Codes of the history buffer.
ON_STEADY, ON_ADJUSTING, INTERLOCK_CLEARED = 1, 3, 116
#: A bit of ``*STB?`` that means nothing to the user and is seen set.
RESERVED = 8
_TO_LF = bytes.maketrans(b"\r", b"\n")
_FLOW = b"\x11\x13"  # XON and XOFF are for the port, no part of a command


class SimMaiTai(Instrument):
    """The laser with its power supply; 9600 baud, CR, LF or both end commands, LF ends replies; only queries have one.

    :param warm: how far it is warmed up, %.
    :param warm_up: seconds from 0 to 100 %, once ``ON`` has started it.
    :param emission_lag: seconds from ``ON`` to the emission indicator.
    :param shutter_lag: seconds after which ``SHUTter?`` tells what ``SHUTter`` did.
    :param tuning: nm per second.
    :param wavelengths: what the head can do, nm.
    :param watchdog: seconds of the software watchdog at power-up, 0 for none (the Setup menu shows 3).
    :param power_unit: of ``READ:POWer?``.
    :param humidity_sensor: older heads have none, and do not know ``READ:HUM?``.
    :param latency: seconds per command.
    :ivar on: the pump diodes are on.
    :ivar shutter: open, as the laser tells.
    :ivar stuck: the shutter does not follow any more.
    """

    name = "maitai"
    baud: ClassVar[int] = 9600
    terminator = b"\n"

    def __init__(
        self,
        *,
        warm: float = 0.0,
        warm_up: float = 120.0,
        emission_lag: float = 0.3,
        shutter_lag: float = 1.0,
        tuning: float = 20.0,
        wavelengths: tuple[int, int] = (690, 1040),
        watchdog: float = 3.0,
        power_unit: Literal["W", "mW", "%"] = "W",
        humidity_sensor: bool = True,
        latency: float = 0.0,
    ) -> None:
        super().__init__(latency=latency)
        self.warmed, self.warm_up, self.tuning = warm, warm_up, tuning
        self.emission_lag, self.shutter_lag = emission_lag, shutter_lag
        self.wavelengths, self.watchdog, self.power_unit = wavelengths, watchdog, power_unit
        self.humidity_sensor = humidity_sensor
        self.on = self.shutter = self.stuck = self.interlock_open = False
        self.commanded = self.wavelength = PEAK_WAVELENGTH
        self.errors: deque[int] = deque(maxlen=BUFFER)
        self.history: deque[int] = deque(maxlen=HISTORY)
        self.settings = {"POWER": PUMP_POWER, "CURRENT": 0.0, "PHASE": 50.0, "BAUD": 9600.0}
        self.mode, self.mode_locker = "PPOWER", True
        self._heating = False
        self._now: float | None = None
        self._fed = self._on_at = self._still_at = -math.inf
        self._shutter_due: tuple[float, bool] | None = None

    # What happens to it; call these through ``Port.call``.

    def open_interlock(self, now: float) -> None:
        """Somebody opens the enclosure: no light, and a system error."""
        self.elapse(now)
        self.interlock_open = True
        self._off()
        self.shutter, self._shutter_due = False, None
        self._report(words.SYSTEM_ERROR)

    def close_interlock(self, now: float) -> None:
        """The enclosure is closed again; the laser stays off."""
        self.elapse(now)
        self.interlock_open = False
        self.history.appendleft(INTERLOCK_CLEARED)

    def light(self, t: float) -> Light:
        """What leaves it at ``t`` s, for a detector that looks from another thread; changes nothing."""
        due, now = self._shutter_due, t if self._now is None else self._now
        shutter = due[1] if due is not None and due[0] <= t and not self.stuck else self.shutter
        way = self.commanded - self.wavelength
        tuned = math.copysign(min(abs(way), self.tuning * max(0.0, t - now)), way)
        emitting = self.on and self._on_at + self.emission_lag <= t < self._bites_at
        return Light(self.wavelength + tuned, emitting, shutter, min(1.0, (t - self._on_at) / RAMP) if self.on else 0.0)

    # The instrument's side of the line.

    def feed(self, data: bytes, now: float) -> list[Reply]:
        """CR and LF are the same to it; both together end one command, since an empty one is none."""
        return super().feed(data.translate(_TO_LF, _FLOW), now)

    def wake_at(self) -> float | None:
        """The watchdog bites by itself."""
        times = [super().wake_at(), self._bites_at if self.on else None]
        return min((t for t in times if t is not None and t < math.inf), default=None)

    def split(self, line: str) -> list[str]:
        """One command a line."""
        return [line.strip()] if line.strip() else []

    def mnemonic(self, command: str) -> str:
        """Its words in the long form, with the question mark of a query."""
        try:
            call = words.parse(command)
        except Refused:
            return ""
        return ":".join(call.words) + "?" * call.query

    def overlong(self, now: float) -> None:  # noqa: ARG002 (the buffer keeps no times)
        """A line longer than the input buffer is no command."""
        self._report(words.COMMAND_ERROR)

    def execute(self, command: str, now: float) -> bytes | None:
        """Carry out a command; a refused one leaves an error in the buffer and no reply."""
        try:
            call = words.parse(command)
            table = _QUERIES if call.query else _COMMANDS
            if call.words not in table or (call.query and call.text):
                raise Refused(words.COMMAND_ERROR)
            answer = table[call.words](self, call)
        except Refused as refused:
            if refused.weight != words.COMMAND_ERROR:
                self._fed = now  # it was understood
            self._report(refused.weight)
            return None
        self._fed = now
        return None if answer is None else answer.encode("latin-1") + b"\n"

    def elapse(self, now: float) -> None:
        """Let it warm up, tune, move its shutter, and switch itself off when nobody talked to it."""
        if self._now is None:
            self._now = self._fed = now
        if self.on and now >= self._bites_at:
            self._off()
        step, self._now = max(0.0, now - self._now), max(now, self._now)
        if self._heating:
            self.warmed = min(100.0, self.warmed + 100.0 * step / self.warm_up) if self.warm_up > 0 else 100.0
        if self._shutter_due is not None and self._shutter_due[0] <= now:
            self.shutter, self._shutter_due = (self.shutter if self.stuck else self._shutter_due[1]), None
        self._tune(step)

    def _tune(self, step: float) -> None:
        way = self.commanded - self.wavelength
        if way == 0.0:
            return
        needed = abs(way) / self.tuning if self.tuning > 0 else math.inf
        if needed > step:
            self.wavelength += math.copysign(self.tuning * step, way)
            self._still_at = math.inf
        else:
            self.wavelength, self._still_at = self.commanded, self._clock - step + needed

    @property
    def _clock(self) -> float:
        return -math.inf if self._now is None else self._now

    @property
    def _bites_at(self) -> float:
        return self._fed + self.watchdog if self.watchdog > 0 else math.inf

    @property
    def emitting(self) -> bool:
        """The emission indicator is lit."""
        return self.on and self._clock >= self._on_at + self.emission_lag

    @property
    def mode_locked(self) -> bool:
        """The output pulses."""
        ready = max(self._on_at + RAMP, self._still_at) + PULSING_AFTER
        return self.emitting and self.mode_locker and self._clock >= ready

    @property
    def power(self) -> float:
        """Output before the shutter, W."""
        gain = max(0.1, 1.0 - ((self.wavelength - PEAK_WAVELENGTH) / GAIN_WIDTH) ** 2)
        return PEAK_POWER * gain * self._ramp

    @property
    def _ramp(self) -> float:
        return min(1.0, (self._clock - self._on_at) / RAMP) if self.on else 0.0

    def _off(self) -> None:
        self.on = False

    def _report(self, weight: int) -> None:
        self.errors.append(weight | words.ANY_ERROR | words.LASER_ON * self.on)

    # Commands.

    def _turn_on(self, call: Call) -> None:
        _bare(call)
        if self.interlock_open or 0.0 < self.warmed < 100.0:
            raise Refused(words.EXECUTION_ERROR)
        if self.warmed == 0.0:
            self._heating = True
        elif not self.on:
            self.on, self._on_at = True, self._clock
            self.history.extendleft((ON_ADJUSTING, ON_STEADY))

    def _turn_off(self, call: Call) -> None:
        _bare(call)
        self._off()

    def _move_shutter(self, call: Call) -> None:
        wanted = words.flag(call.text)
        if wanted and self.interlock_open:
            raise Refused(words.EXECUTION_ERROR)
        self._shutter_due = (self._clock + self.shutter_lag, wanted)

    def _set_wavelength(self, call: Call) -> None:
        self.commanded = words.number(call.text, *self.wavelengths)
        if self.commanded != self.wavelength:
            self._still_at = math.inf
        self.settings |= {"POWER": PUMP_POWER, "PHASE": 50.0}
        if self.on:
            self.history.extendleft((ON_ADJUSTING, ON_STEADY))

    def _set_watchdog(self, call: Call) -> None:
        self.watchdog = words.number(call.text, 0, LONGEST_WATCHDOG)

    def _set_mode(self, call: Call) -> None:
        self.mode = words.word(call.text, "PPOWER", "PCURRENT")

    def _set_mode_locker(self, call: Call) -> None:
        self.mode_locker = words.flag(call.text)

    def _set_baud(self, call: Call) -> None:
        # Kept and told, but the simulated line goes on at its rate.
        rate = words.number(call.text, min(BAUD_RATES), max(BAUD_RATES))
        if rate not in BAUD_RATES:
            raise Refused(words.EXECUTION_ERROR)
        self.settings["BAUD"] = rate

    # Queries.

    def _pop_error(self, _: Call) -> str:
        code = self.errors.popleft() if self.errors else words.LASER_ON * self.on
        return f"{code}, {words.names(code)}"

    def _status(self, _: Call) -> str:
        return str(1 * self.emitting | 2 * self.mode_locked | RESERVED)

    def _output(self, _: Call) -> str:
        match self.power_unit:
            case "mW":
                return f"{self.power * 1e3:.0f}mW"
            case "%":
                return f"{100.0 * self.power / PEAK_POWER:.2f}%"
        return f"{self.power:.2f}W"

    def _humidity(self, _: Call) -> str:
        if not self.humidity_sensor:
            raise Refused(words.COMMAND_ERROR)
        return "7.26%"

    def _mode(self, _: Call) -> str:
        return "POW" if self.mode == "PPOWER" else "PCUR"

    def _codes(self) -> list[int]:
        return (list(self.history) + [0] * HISTORY)[:HISTORY]


def _bare(call: Call) -> None:
    if call.text:
        raise Refused(words.COMMAND_ERROR)


def _setting(key: str, low: float, high: float) -> Callable[[SimMaiTai, Call], None]:
    def take(sim: SimMaiTai, call: Call) -> None:
        sim.settings[key] = words.number(call.text, low, high)

    return take


_Handler = Callable[[SimMaiTai, Call], str | None]
_COMMANDS: dict[tuple[str, ...], _Handler] = {
    ("ON",): SimMaiTai._turn_on,
    ("OFF",): SimMaiTai._turn_off,
    ("SHUTTER",): SimMaiTai._move_shutter,
    ("WAVELENGTH",): SimMaiTai._set_wavelength,
    ("TIMER", "WATCHDOG"): SimMaiTai._set_watchdog,
    ("MODE",): SimMaiTai._set_mode,
    ("PLASER", "POWER"): _setting("POWER", 0.0, 20.0),
    ("PLASER", "PCURRENT"): _setting("CURRENT", 0.0, 100.0),
    ("CONTROL", "PHASE"): _setting("PHASE", 0.0, 100.0),
    ("CONTROL", "MLENABLE"): SimMaiTai._set_mode_locker,
    ("SAVE",): lambda _, call: _bare(call),
    ("SYSTEM", "COMMUNICATIONS", "SERIAL", "BAUD"): SimMaiTai._set_baud,
}
_QUERIES: dict[tuple[str, ...], _Handler] = {
    ("*IDN",): lambda _, __: IDENTITY,
    ("*STB",): SimMaiTai._status,
    ("WAVELENGTH",): lambda sim, _: f"{sim.commanded:.0f}nm",
    ("WAVELENGTH", "MIN"): lambda sim, _: f"{sim.wavelengths[0]}nm",
    ("WAVELENGTH", "MAX"): lambda sim, _: f"{sim.wavelengths[1]}nm",
    ("READ", "WAVELENGTH"): lambda sim, _: f"{sim.wavelength:.0f}nm",
    ("READ", "POWER"): SimMaiTai._output,
    ("POWER",): SimMaiTai._output,
    ("READ", "PCTWARMEDUP"): lambda sim, _: f"{math.floor(100 * sim.warmed) / 100:.2f}%",
    ("READ", "HUMIDITY"): SimMaiTai._humidity,
    ("READ", "PLASER", "POWER"): lambda sim, _: f"{sim.settings['POWER'] * sim._ramp:.2f}W",
    ("READ", "PLASER", "PCURRENT"): lambda sim, _: f"{70.0 * sim._ramp:.1f}%",
    ("READ", "PLASER", "SHGS"): lambda sim, _: "0S" if sim.warmed >= 100.0 else "1S",
    ("READ", "PLASER", "DIODE1", "CURRENT"): lambda sim, _: f"{75.1 * sim._ramp:.1f}%",
    ("READ", "PLASER", "DIODE2", "CURRENT"): lambda sim, _: f"{75.1 * sim._ramp:.1f}%",
    ("READ", "PLASER", "DIODE1", "TEMPERATURE"): lambda _, __: "20.5",
    ("READ", "PLASER", "DIODE2", "TEMPERATURE"): lambda _, __: "20.5",
    ("SHUTTER",): lambda sim, _: str(int(sim.shutter)),
    ("MODE",): SimMaiTai._mode,
    ("PLASER", "POWER"): lambda sim, _: f"{sim.settings['POWER']:.2f}W",
    ("PLASER", "PCURRENT"): lambda sim, _: f"{sim.settings['CURRENT']:.1f}%",
    ("PLASER", "ERRCODE"): lambda sim, _: str(sim._codes()[0]),
    ("PLASER", "HISTORY"): lambda sim, _: bytes(sim._codes()).decode("latin-1"),
    ("PLASER", "AHISTORY"): lambda sim, _: " ".join(f"{code:03d}" for code in sim._codes()),
    ("CONTROL", "PHASE"): lambda sim, _: f"{sim.settings['PHASE']:.2f}",
    ("CONTROL", "MLENABLE"): lambda sim, _: str(int(sim.mode_locker)),
    ("TIMER", "WATCHDOG"): lambda sim, _: f"{sim.watchdog:g}",
    ("SYSTEM", "ERR"): SimMaiTai._pop_error,
}
