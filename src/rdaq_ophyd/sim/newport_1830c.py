"""Newport 1830-C optical power meter, simulated from its manual: readings, ranges, units, the status byte."""

from __future__ import annotations

import math
import random
import re
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Literal

from rdaq_ophyd.sim._instrument import Instrument, Reply

__all__ = ["SimNewport1830C"]

PARAMETER_ERROR, COMMAND_ERROR, SATURATED, OVER_RANGE, BUSY, SERVICE_REQUEST, READ_DONE = 1, 2, 4, 8, 32, 64, 128

#: Full scale of range 1, W; each range is ten times the one before, so that range 8 ends at 20 mW.
LOWEST_FULL_SCALE = 2e-9
RANGES = 8
#: Power at which the photodiode saturates, W (818 series without its attenuator).
SATURATION = 25e-3
#: What the attenuator of the 818 series lets through.
ATTENUATION = 1e-3
#: Time between two readings, s, and how many of them each filter setting (``F1`` slow … ``F3`` fast) averages.
READING_PERIOD = 0.05
AVERAGED = {1: 16, 2: 4, 3: 1}
#: Time that a change of range by the automatic ranging takes, s.
RANGING_TIME = 0.15
#: Noise of one reading: a part of the power, and a part of the range's full scale.
RELATIVE_NOISE, RANGE_NOISE = 2e-4, 2e-5
WAVELENGTHS = (300, 1100)

#: Settings that are kept and read back: lowest and highest value.
_SETTINGS = {
    "A": (0, 1),  # attenuator
    "B": (0, 1),  # beeper
    "E": (0, 1),  # echo
    "F": (1, 3),  # filter
    "G": (0, 1),  # run
    "K": (0, 2),  # backlight
    "L": (0, 1),  # lockout
    "M": (0, 255),  # service request mask
    "R": (0, RANGES),  # range, 0 automatic
    "U": (1, 4),  # units
    "W": WAVELENGTHS,
    "Z": (0, 1),  # zero
}
_COMMAND = re.compile(r"([A-Z])\s*(\?|\d{0,6})")


class SimNewport1830C(Instrument):
    """The meter with its detector; 9600 baud, LF ends commands and replies, settings are not answered.

    :param power: watts on the detector, or a function of the time in s that gives them.
    :param seed: of the noise, which is the same in every run.
    :param noise: factor on the noise; 0 for none.
    :param dbm_unit: which of ``U2`` and ``U3`` means dBm (the other is dB); sources disagree.
    :param latency: seconds per command.
    """

    name = "newport_1830c"
    baud: ClassVar[int] = 9600
    terminator = b"\n"

    def __init__(
        self,
        power: float | Callable[[float], float] = 1e-3,
        *,
        seed: int = 1830,
        noise: float = 1.0,
        dbm_unit: Literal[2, 3] = 3,
        latency: float = 0.0,
    ) -> None:
        super().__init__(latency=latency)
        self._power: Callable[[float], float] = power if callable(power) else lambda _: power
        self._random = random.Random(seed)
        self._noise, self._dbm_unit = noise, dbm_unit
        low = {name: low for name, (low, _) in _SETTINGS.items()}
        self.settings = low | {"B": 1, "F": 2, "G": 1, "K": 1, "W": 800}
        self.range = RANGES
        self._samples: deque[float] = deque(maxlen=max(AVERAGED.values()))
        self._status = 0
        self._reading = self._zero = self._reference = 0.0
        self._next_sample: float | None = None
        self._ranging_until = float("-inf")

    def feed(self, data: bytes, now: float) -> list[Reply]:
        """With echo on, every byte also comes back."""
        echo = [Reply(now, data)] if self.settings["E"] and data else []
        return echo + super().feed(data, now)

    def wake_at(self) -> float | None:
        """The meter reads by itself, so it always has a next time."""
        times = [super().wake_at(), self._next_sample]
        return min((t for t in times if t is not None), default=None)

    def split(self, line: str) -> list[str]:
        """One command a line."""
        return [line.strip().upper()] if line.strip() else []

    def mnemonic(self, command: str) -> str:
        """The letter."""
        return command[:1]

    def overlong(self, now: float) -> None:  # noqa: ARG002 (a status byte has no time)
        """A line longer than the buffer is no command."""
        self._status |= COMMAND_ERROR

    def execute(self, command: str, now: float) -> bytes | None:
        """Carry out a command; a bad one shows in the status byte only."""
        match = _COMMAND.fullmatch(command)
        if match is None:
            self._status |= COMMAND_ERROR if command[:1] not in _SETTINGS else PARAMETER_ERROR
            return None
        letter, text = match.groups()
        if text == "?":
            return self._query(letter, now)
        if letter in _SETTINGS:
            self._set(letter, text, now)
        elif letter == "C" and not text:
            self._status = 0
        elif letter == "S" and not text:
            self._reference = self._watts()
        else:
            self._status |= COMMAND_ERROR
        return None

    def elapse(self, now: float) -> None:
        """Take the readings that fall due; after a long sleep only the last ones matter."""
        if self._next_sample is None:
            self._next_sample = now
        behind = math.floor((now - self._next_sample) / READING_PERIOD) + 1 - AVERAGED[1]
        self._next_sample += max(0, behind) * READING_PERIOD
        while self._next_sample <= now:
            self._sample(self._next_sample)
            self._next_sample += READING_PERIOD

    @property
    def full_scale(self) -> float:
        """Watts at which the present range ends."""
        return LOWEST_FULL_SCALE * 10.0 ** (self.range - 1) / self._transmission

    @property
    def _transmission(self) -> float:
        return ATTENUATION if self.settings["A"] else 1.0

    def _sample(self, t: float) -> None:
        power = max(0.0, self._power(t))
        self._choose_range(power, t)
        if t < self._ranging_until or not self.settings["G"]:
            return
        saturated = power * self._transmission > SATURATION
        over = power > self.full_scale
        self._status |= SATURATED * saturated | OVER_RANGE * over
        shown = min(power, self.full_scale)
        deviation = self._noise * (RELATIVE_NOISE * shown + RANGE_NOISE * self.full_scale)
        self._samples.append(shown + self._random.gauss(0.0, deviation))
        latest = list(self._samples)[-AVERAGED[self.settings["F"]] :]
        self._reading = math.fsum(latest) / len(latest)
        if not (saturated or over):
            self._status |= READ_DONE

    def _choose_range(self, power: float, t: float) -> None:
        if self.settings["R"]:
            self.range = self.settings["R"]
            return
        fits = LOWEST_FULL_SCALE * 10.0 ** (self.range - 1) / self._transmission
        wanted = self.range
        while wanted < RANGES and power > fits:
            wanted, fits = wanted + 1, fits * 10.0
        # Down only well below the next lower range's end, so that noise does not make it hunt.
        while wanted > 1 and power < 0.09 * fits:
            wanted, fits = wanted - 1, fits / 10.0
        if wanted != self.range:
            self.range, self._ranging_until = wanted, t + RANGING_TIME
            self._samples.clear()

    def _set(self, letter: str, text: str, now: float) -> None:
        low, high = _SETTINGS[letter]
        if not text or not low <= int(text) <= high:
            self._status |= PARAMETER_ERROR
            return
        self.settings[letter] = int(text)
        if letter == "Z":
            self._zero = self._reading if int(text) else 0.0
        if letter in "AR":
            self._samples.clear()
            self._status &= ~READ_DONE
            self._choose_range(max(0.0, self._power(now)), now)

    def _query(self, letter: str, now: float) -> bytes | None:
        if letter == "D":
            self._status &= ~READ_DONE
            return self._display().encode() + b"\n"
        if letter == "Q":
            return str(self._status_byte(now)).encode() + b"\n"
        if letter not in _SETTINGS:
            self._status |= COMMAND_ERROR
            return None
        value = self.settings[letter]
        return (f"{value:04d}" if letter == "W" else str(value)).encode() + b"\n"

    def _status_byte(self, now: float) -> int:
        status = self._status | BUSY * (now < self._ranging_until)
        return status | SERVICE_REQUEST * bool(status & self.settings["M"])

    def _watts(self) -> float:
        return self._reading - self._zero

    def _display(self) -> str:
        watts, unit = self._watts(), self.settings["U"]
        if unit == 1:
            return engineering(watts, self.full_scale)
        relative = watts / self._reference if self._reference > 0.0 else 1.0
        if unit == 4:
            return f"{relative:.4f}"
        ratio = watts / 1e-3 if unit == self._dbm_unit else relative
        return f"{10.0 * math.log10(ratio):.2f}" if ratio > 1e-12 else "-120.00"


def engineering(watts: float, full_scale: float) -> str:
    """As the meter writes watts: the range's power of a thousand, no needless zeros: ``5E-9``, ``+.75E-9``."""
    exponent = 3 * math.floor(math.log10(full_scale) / 3)
    mantissa = f"{watts / 10.0**exponent:.4f}".rstrip("0").rstrip(".")
    if mantissa.lstrip("-").startswith("0."):
        mantissa = ("-" if mantissa[0] == "-" else "+") + mantissa.lstrip("-")[1:]
    return f"{mantissa}E{exponent}"
