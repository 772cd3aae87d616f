"""What a Mai Tai answers, read strictly, with its units (user's manual, "Full Description")."""

from __future__ import annotations

import re

from rdaq_ophyd.signals import parse_float, parse_int

POWER_MODES = {1: "on, power mode", 2: "on, current mode", 3: "on, adjusting power", 4: "on, adjusting current"}
CODES = POWER_MODES | {0: "nothing", 116: "interlock cleared", 120: "key switch off"}
"""Status codes of the power supply whose meaning is known here; the manual's chapter on service lists all of them."""

LIGHT = (200, 2000)
"""nm; wider than what titanium-sapphire does, narrower than what garbage says."""

_QUANTITY = re.compile(r"(\S+?)\s*(nm|mW|W|%|)")


def _split(text: str, *units: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError("a number with " + " or ".join(unit for unit in units if unit))
    return parse_float(match[1]), match[2]


def parse_nm(text: str) -> float:
    """``820nm``; early firmware leaves the unit out.

    :raises ValueError: it is something else, or no wavelength that such a laser may have.
    """
    value = _split(text, "nm", "")[0]
    if not LIGHT[0] <= value <= LIGHT[1]:
        raise ValueError(f"a wavelength, {LIGHT[0]} to {LIGHT[1]} nm")
    return value


def parse_percent(text: str) -> float:
    """``100.00%`` or ``050%``.

    :raises ValueError: it is something else.
    """
    return _split(text, "%")[0]


def parse_watts(text: str, rated: float | None = None) -> float:
    """``3.00W`` or ``3000mW`` in W; ``100.00%`` of ``rated`` W.

    :raises ValueError: it is something else, or a percentage of nobody knows what.
    """
    if rated is None and text.endswith("%"):
        raise ValueError("W or mW: for a percentage, tell the device its rated_power")
    value, unit = _split(text, "W", "mW", "%")
    return value * {"W": 1.0, "mW": 1e-3, "%": 0.01 * (rated or 0.0)}[unit]


def parse_status(text: str) -> int:
    """The status byte.

    :raises ValueError: it is something else.
    """
    status = parse_int(text)
    if not 0 <= status <= 255:
        raise ValueError("a status byte, 0 to 255")
    return status


def parse_emitting(text: str) -> bool:
    """Bit 0 of the status byte: emission is possible, as the indicator on the laser says.

    :raises ValueError: it is no status byte.
    """
    return bool(parse_status(text) & 1)


def parse_mode_locked(text: str) -> bool:
    """Bit 1 of the status byte.

    :raises ValueError: it is no status byte.
    """
    return bool(parse_status(text) & 2)


def parse_code(text: str) -> str:
    """A status code of the power supply, in words as far as they are known: ``120 key switch off``.

    :raises ValueError: it is no number.
    """
    code = parse_int(text)
    return f"{code} {CODES.get(code, '(see the manual)')}"


def parse_history(text: str) -> str:
    """The history buffer, the latest code first.

    :raises ValueError: it is no list of numbers.
    """
    return "; ".join(parse_code(code) for code in re.split(r"[\s,]+", text))
