"""What an Elliptec device says of itself (protocol manual, "DEVGET_INFORMATION IN" and "DEVGET_MOTOR1INFO I1")."""

from __future__ import annotations

from typing import NamedTuple

from rdaq_ophyd.devices._ell14_protocol import payload

ELL14 = 14
"""The model number of this mount."""
PERIOD_CLOCK = 14_740_000
"""Hz; divided by a period it gives a resonance frequency (manual, "I1")."""
COUNTS_PER_AMPERE = 1866
"""Of a motor's current (manual, "I1")."""
NONE = (0, 0xFFFF)
"""Periods that stand for no resonance."""


class Info(NamedTuple):
    """Identity and calibration.

    :param serial: eight digits.
    :param firmware: two digits, as the device writes them.
    :param hardware: release.
    :param travel: of a rotation mount, in degrees.
    :param pulses: of the encoder per ``travel``.
    """

    model: int
    serial: str
    year: int
    firmware: str
    hardware: int
    imperial: bool
    travel: int
    pulses: int

    @classmethod
    def parse(cls, reply: str) -> Info:
        """From a reply to ``in``.

        :raises ValueError: its year is no number, or its calibration is nothing.
        """
        text = payload(reply)
        if not text[10:14].isdecimal():
            raise ValueError("a year in digits 11 to 14")
        hardware = int(text[16:18], 16)
        info = cls(
            model=int(text[:2], 16),
            serial=text[2:10],
            year=int(text[10:14]),
            firmware=text[14:16],
            hardware=hardware & 0x7F,
            imperial=bool(hardware & 0x80),
            travel=int(text[18:22], 16),
            pulses=int(text[22:30], 16),
        )
        if info.model == ELL14 and not (info.travel and info.pulses):
            raise ValueError("travel and pulses above zero")
        return info

    @property
    def per_degree(self) -> float:
        """Pulses of a rotation mount."""
        return self.pulses / self.travel


def serial(reply: str) -> str:
    """The serial number in a reply to ``in``."""
    return Info.parse(reply).serial


def firmware(reply: str) -> str:
    """The firmware's release in a reply to ``in``."""
    return Info.parse(reply).firmware


def hardware(reply: str) -> int:
    """The hardware's release in a reply to ``in``."""
    return Info.parse(reply).hardware


def imperial(reply: str) -> bool:
    """Whether its threads are imperial, from a reply to ``in``."""
    return Info.parse(reply).imperial


def per_degree(reply: str) -> float:
    """Pulses per degree, from a reply to ``in``."""
    return Info.parse(reply).per_degree


MOCK = Info(ELL14, "00000000", 2024, "17", 1, imperial=False, travel=360, pulses=143_360)
"""In mock mode."""


class MotorInfo(NamedTuple):
    """State of one of the two motors.

    :param current: in ampere.
    :param forward: resonance frequency in Hz, None where there is none; ``backward`` too.
    """

    loop: bool
    on: bool
    current: float
    forward: float | None
    backward: float | None

    @classmethod
    def parse(cls, reply: str) -> MotorInfo:
        """From a reply to ``i1`` or ``i2``."""
        text = payload(reply)
        return cls(
            loop=text[0] != "0",
            on=text[1] != "0",
            current=int(text[2:6], 16) / COUNTS_PER_AMPERE,
            forward=_frequency(text[14:18]),
            backward=_frequency(text[18:22]),
        )


def _frequency(period: str) -> float | None:
    return None if int(period, 16) in NONE else PERIOD_CLOCK / int(period, 16)
