"""The error queue of an ESP300, shared by its axes (ESP300 user's manual, appendix "Error messages")."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Awaitable, Callable
from typing import ClassVar, NamedTuple
from weakref import WeakKeyDictionary

from rdaq_ophyd.errors import BadReply, InstrumentError
from rdaq_ophyd.link import Link

logger = logging.getLogger(__name__)

GLOBAL = {
    0: "no error",
    4: "emergency stop activated",
    6: "the command does not exist",
    7: "parameter out of range",
    8: "cable interlock: a motor cable is not plugged in",
    9: "axis number out of range: the controller has no such axis",
    27: "command not allowed",
    37: "axis number missing",
    38: "command parameter missing",
}
"""Errors of the controller, by code."""

AXIS = {
    1: "parameter out of range",
    2: "amplifier fault",
    3: "following error: the motor did not follow its trajectory",
    4: "positive hardware limit reached",
    5: "negative hardware limit reached",
    6: "positive software limit exceeded",
    7: "negative software limit exceeded",
    8: "motor or stage not connected",
    9: "feedback signal fault",
    10: "above the axis' maximum velocity",
    11: "above the axis' maximum acceleration",
    13: "the motor is not enabled",
    20: "homing aborted",
    29: "digital I/O interlock",
    30: "command not allowed while homing",
}
"""Errors of an axis, by the two last digits of the code; the axis number stands before them."""

HINTS = {
    2: "switch the motor on again; if it comes back, look for a blocked stage or a bad cable",
    3: "is the stage blocked, the load too heavy, the acceleration too high?",
    4: "move the other way, with the motor switched on again if it is off; check the stage's travel",
    5: "move the other way, with the motor switched on again if it is off; check the stage's travel",
    8: "plug in the stage's cable with the controller off",
    9: "check the encoder's cable with the controller off",
    13: "switch it on: <enable({axis}) in the shell, `rdaq set {axis}.enabled true`, "
    "`yield from bps.mv({axis}.enabled, True)` in a plan",
    20: "has the stage the switch that this home_mode looks for? try another one",
    29: "look at what is wired to the digital inputs",
}
"""Next steps, by the axis part of the code; ``{axis}`` is how the axis is written in a plan."""

NOT_ENABLED = 13
HARDWARE = frozenset({2, 3, 4, 5, 8, 9, 29})
"""Errors of an axis that last until something is done about them, by the two last digits of the code."""

DEPTH = 32
"""More entries than the controller's queue holds: bounds the loop that empties it."""

_ENTRY = re.compile(r"(\d+)\s*,\s*(\d+)\s*,\s*(.*)")


class Fault(NamedTuple):
    """One entry of the queue. ``axis`` 0: the controller itself."""

    axis: int
    code: int
    cause: str
    text: str

    @classmethod
    def parse(cls, reply: str) -> Fault:
        """From a reply to ``TB?``: code, time stamp, message.

        :raises BadReply: it is something else.
        """
        match = _ENTRY.fullmatch(reply)
        if match is None:
            raise BadReply(
                f"{reply!r} in answer to 'TB?'; expected code, time stamp, message", hint="is this an ESP300?"
            )
        code, text = int(match[1]), match[3]
        axis, part = divmod(code, 100)
        known = AXIS.get(part) if axis else GLOBAL.get(code)
        return cls(axis, code, known or text.capitalize() or "unknown error", text)

    def error(self, device: str) -> InstrumentError:
        """As an exception that names ``device``: its name, perhaps with more after a space."""
        hint = HINTS.get(self.code % 100, "") if self.axis else ""
        axis = device.partition(" ")[0].replace("-", ".")
        return InstrumentError(device, self.code, self.cause, hint=hint.format(axis=axis))


class ErrorQueue:
    """What the controller on one link reported, sorted by axis: whoever empties the queue finds others' errors too."""

    _queues: ClassVar[WeakKeyDictionary[Link, ErrorQueue]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._pending: dict[int, list[Fault]] = {}
        self._standing: dict[int, Fault] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, link: Link) -> ErrorQueue:
        """The one queue of the controller on ``link``."""
        return cls._queues.setdefault(link, cls())

    async def empty(self, ask: Callable[[str], Awaitable[str]], first: str | None = None) -> None:
        """Read the controller's queue until it is empty.

        :param ask: asks the controller a question; a reply that comes after a cancel goes to ``overhear``.
        :param first: a reply to ``TB?`` that was read already.
        """
        for _ in range(DEPTH):
            fault = Fault.parse(first if first is not None else await ask("TB?"))
            first = None
            if fault.code == 0:
                return
            self._keep(fault)

    def overhear(self, reply: str) -> None:
        """A reply to ``TB?`` that nobody waited for any more: what it tells is told once only. Any thread."""
        if (fault := Fault.parse(reply)).code:
            self._keep(fault)

    def _keep(self, fault: Fault) -> None:
        logger.warning("ESP300: error %d: %s (%s)", fault.code, fault.cause, fault.text)
        with self._lock:
            self._pending.setdefault(fault.axis, []).append(fault)
            if fault.axis and fault.code % 100 in HARDWARE:
                self._standing[fault.axis] = fault

    def standing(self, axis: int) -> Fault | None:
        """The last fault of the hardware of ``axis`` that no motion without an error followed."""
        return self._standing.get(axis)

    def settled(self, axis: int) -> None:
        """``axis`` moved without an error."""
        with self._lock:
            self._standing.pop(axis, None)

    def pending(self, axis: int) -> bool:
        """Whether there is an error of ``axis`` or of the controller that nobody claimed yet."""
        return bool(self._pending.get(axis) or self._pending.get(0))

    def claim(self, axis: int) -> list[Fault]:
        """Take the errors of ``axis`` (0: the controller) and those of the controller itself."""
        with self._lock:
            return self._pending.pop(axis, []) + (self._pending.pop(0, []) if axis else [])

    def raise_for(self, axis: int, device: str) -> None:
        """Raise the first error of ``axis`` or the controller; later ones become notes.

        :raises InstrumentError: there is one.
        """
        if not (faults := self.claim(axis)):
            return
        error = faults[0].error(device)
        for fault in faults[1:]:
            error.add_note(f"then error {fault.code}: {fault.cause}")
        raise error
