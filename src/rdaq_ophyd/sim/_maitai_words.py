"""The command words of a Mai Tai: long and short forms freely mixed, in any case (user's manual, "RS-232")."""

from __future__ import annotations

import re
from typing import NamedTuple

#: Status bits of ``SYSTem:ERR?`` (Table 6-1), and their names.
COMMAND_ERROR, EXECUTION_ERROR, SYSTEM_ERROR, LASER_ON, ANY_ERROR = 1, 2, 32, 64, 128
NAMES = {1: "CMD_ERR", 2: "EXE_ERR", 32: "SYS_ERR", 64: "LASER_ON", 128: "ANY_ERR"}

#: The long form of every word of every command.
LONG = (
    "AHISTORY", "BAUD", "COMMUNICATIONS", "CONTROL", "CURRENT", "DIODE1", "DIODE2", "ERR", "ERRCODE", "HISTORY",
    "HUMIDITY", "MAX", "MIN", "MLENABLE", "MODE", "OFF", "ON", "PCTWARMEDUP", "PCURRENT", "PHASE", "PLASER",
    "POWER", "PPOWER", "READ", "SAVE", "SERIAL", "SHGS", "SHUTTER", "SYSTEM", "TEMPERATURE", "TIMER",
    "WATCHDOG", "WAVELENGTH", "*IDN", "*STB",
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


class Refused(Exception):
    """A command that is not carried out.

    :param weight: the status bit that says why.
    """

    def __init__(self, weight: int) -> None:
        self.weight = weight


class Call(NamedTuple):
    """A parsed command: the long forms of its words, whether it is a query, and the parameter as text."""

    words: tuple[str, ...]
    query: bool
    text: str


def short(word: str) -> str:
    """The short form: four letters, or three where the fourth is a vowel; a number at the end stays.

    ``ON``, ``OFF`` and the common commands have none of their own.
    """
    letters = word.rstrip("0123456789")
    if word in {"ON", "OFF"} or word.startswith("*") or len(letters) < 4:
        return word
    return letters[: 3 if letters[3] in "AEIOU" else 4] + word[len(letters) :]


_FORMS = {short(word): word for word in LONG} | {word: word for word in LONG}


def parse(command: str) -> Call:
    """Read one command line without its terminator.

    :raises Refused: a word that no command has.
    """
    header, _, text = command.strip().partition(" ")
    query = header.endswith("?")
    words = header.removesuffix("?").upper().split(":")
    if not all(word in _FORMS for word in words):
        raise Refused(COMMAND_ERROR)
    return Call(tuple(_FORMS[word] for word in words), query, text.strip())


def word(text: str, *allowed: str) -> str:
    """A parameter that is one of the words ``allowed``, in either form.

    :raises Refused: it is another.
    """
    found = _FORMS.get(text.upper(), "")
    if found not in allowed:
        raise Refused(EXECUTION_ERROR if found else COMMAND_ERROR)
    return found


def number(text: str, low: float, high: float) -> float:
    """A decimal number within its range.

    :raises Refused: it is no number (command error), or outside (execution error).
    """
    if not _NUMBER.fullmatch(text):
        raise Refused(COMMAND_ERROR)
    if not low <= float(text) <= high:
        raise Refused(EXECUTION_ERROR)
    return float(text)


def flag(text: str) -> bool:
    """``0`` or ``1``.

    :raises Refused: it is something else.
    """
    if number(text, 0, 1) not in {0, 1}:
        raise Refused(EXECUTION_ERROR)
    return float(text) == 1


def names(code: int) -> str:
    """The names of the bits of ``code``, as its text message."""
    return " + ".join(name for bit, name in NAMES.items() if code & bit) or "NO_ERR"
