"""Frames on the Elliptec bus: whose answer one is, and to what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from rdaq_ophyd.devices._ell14_status import failure
from rdaq_ophyd.link import Framing, SerialSettings
from rdaq_ophyd.signals import LineProtocol

ADDRESSES = "0123456789ABCDEF"
"""Of devices on one bus."""
END = b"\r\n"
"""Of each frame that a device sends."""
LENGTHS = {"IN": 30, "GS": 2, "PO": 8, "GV": 2, "GJ": 8, "HO": 8, "I1": 22, "I2": 22}
"""Digits after address and letters, by the letters of a reply."""
REPLIES = {"in": "IN", "gp": "PO", "gv": "GV", "gj": "GJ", "go": "HO", "i1": "I1", "i2": "I2"}
"""What a question is answered by; everything else is answered by a status."""
REFUSALS = "GS0[345]"
"""A question that a device does not know, or must not answer now, is answered by one of these."""
LOWEST, HIGHEST = -(1 << 31), (1 << 31) - 1
"""Positions in pulses that eight digits can tell."""


@dataclass(frozen=True)
class Answer:
    """The frame that answers one command; all others that come in before it are passed over.

    Devices also speak unasked, when a move ends (``PO``, or ``GS`` with an error) or a button of the keypad is pressed
    (``BS``, ``BO``): none of that is taken for another's answer.

    :param address: of the device that was asked.
    :param letters: what the frame says, such as ``PO``.
    """

    address: str
    letters: str

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        wanted = f"{self.letters}[0-9A-F]{{{LENGTHS[self.letters]}}}"
        refused = "" if self.letters == "GS" else f"|{REFUSALS}"
        return re.compile(f"{self.address}(?:{wanted}{refused})".encode())

    def cut(self, buffer: bytearray) -> bytes | None:
        """Remove all frames up to the answer from ``buffer`` and return that; None while it is not complete."""
        while (at := buffer.find(END)) >= 0:
            frame = bytes(buffer[:at])
            del buffer[: at + len(END)]
            if self._pattern.fullmatch(frame):
                return frame
        return None


class EllProtocol(LineProtocol):
    """Commands such as ``0ma00004600``."""

    def framing(self, command: str) -> Framing:
        """The answer to ``command``: from its address, with the letters that belong to it."""
        letters = REPLIES.get(command[1:3], "GS")
        # A device that was told a new address answers from there.
        return Answer(command[3] if command[1:3] == "ca" else command[0], letters)


# The manual asks for no terminator; a CR is accepted, and ends what an earlier program may have left unfinished.
PROTOCOL = EllProtocol(command_end="\r", timeout=0.5, serial=SerialSettings(baudrate=9600))
"""As in the manual: 9600 8N1. The longest exchange (``in``) takes 40 ms on the wire."""


def payload(reply: str) -> str:
    """The digits of a reply to a question.

    :raises InstrumentError: it was refused.
    """
    if reply[1:3] == "GS":
        raise failure(f"device at address {reply[0]}", int(reply[3:], 16), "asked a question")
    return reply[3:]


def number(reply: str) -> int:
    """The unsigned number in a reply to a question."""
    return int(payload(reply), 16)


def pulses(reply: str) -> int:
    """The signed number, in pulses, in a reply to a question."""
    value = number(reply)
    return value - (1 << 32) if value > HIGHEST else value


def digits(value: int) -> str:
    """Eight digits for a signed number.

    :raises ValueError: it has more than 32 bits.
    """
    if not LOWEST <= value <= HIGHEST:
        raise ValueError(f"{value} pulses do not fit into 32 bits")
    return f"{value & 0xFFFFFFFF:08X}"


def status(reply: str) -> int:
    """The code in a ``GS`` frame."""
    return int(reply[3:], 16)
