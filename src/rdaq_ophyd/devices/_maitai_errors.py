"""The error buffer of a Mai Tai, shared by the parts of the laser (user's manual, Tables 6-1 and 6-2)."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import IntFlag
from typing import ClassVar, NamedTuple
from weakref import WeakKeyDictionary

from rdaq_ophyd.errors import BadReply, InstrumentError
from rdaq_ophyd.link import Link

logger = logging.getLogger(__name__)

DEPTH = 32
"""More entries than a buffer holds: bounds the loop that empties it."""
KEPT = 16
"""How many errors are remembered for people."""
_ENTRY = re.compile(r"\+?(\d{1,3})(?:\D.*)?")


class ErrorBits(IntFlag):
    """The weights whose sum an entry of ``SYSTem:ERR?`` is."""

    COMMAND = 1
    EXECUTION = 2
    SYSTEM = 32
    LASER_ON = 64
    ANY = 128


ERRORS = ErrorBits.COMMAND | ErrorBits.EXECUTION | ErrorBits.SYSTEM | ErrorBits.ANY
CAUSES = {
    ErrorBits.COMMAND: "command not understood",
    ErrorBits.EXECUTION: "command cannot be carried out now",
    ErrorBits.SYSTEM: "system error: an interlock is open, or the laser's own diagnosis found something",
}
HINTS = {
    ErrorBits.SYSTEM: "look at the power supply's display, the interlocks and the chiller",
    ErrorBits.EXECUTION: "is it warmed up, the key on, the value one that this head can do?",
    ErrorBits.COMMAND: "does this head know the command? see its manual",
}
"""Next steps, the most urgent first."""


class Fault(NamedTuple):
    """One entry of the buffer."""

    code: int
    text: str

    @classmethod
    def parse(cls, reply: str) -> Fault:
        """From a reply to ``SYSTem:ERR?``: the code, perhaps a text.

        :raises BadReply: it is something else.
        """
        match = _ENTRY.fullmatch(reply)
        if match is None or int(match[1]) > 255:
            raise BadReply(f"{reply!r} in answer to 'SYSTem:ERR?'; expected a code, 0 to 255", hint="is it a Mai Tai?")
        return cls(int(match[1]), reply)

    @property
    def is_error(self) -> bool:
        """False for 0, and for 64 alone, which says only that the laser is on."""
        return bool(self.code & ERRORS)

    @property
    def cause(self) -> str:
        """In words."""
        return "; ".join(cause for bit, cause in CAUSES.items() if self.code & bit) or f"unknown ({self.text})"

    @property
    def hint(self) -> str:
        """The next step."""
        return next((hint for bit, hint in HINTS.items() if self.code & bit), "")


class ErrorBuffer:
    """What the laser on one link reported: each entry is told once only, to whoever asks."""

    _buffers: ClassVar[WeakKeyDictionary[Link, ErrorBuffer]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._recent: deque[tuple[float, Fault]] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    @classmethod
    def of(cls, link: Link) -> ErrorBuffer:
        """That of the laser on ``link``."""
        return cls._buffers.setdefault(link, cls())

    async def empty(self, ask: Callable[[str], Awaitable[str]], first: str | None = None) -> list[Fault]:
        """Read the laser's buffer until an entry is no error; those that are, the oldest first.

        :param ask: asks the laser a question; a reply that comes after a cancel goes to ``overhear``.
        :param first: a reply to ``SYSTem:ERR?`` that was read already.
        """
        found: list[Fault] = []
        for _ in range(DEPTH):
            fault = Fault.parse(first if first is not None else await ask("SYSTem:ERR?"))
            first = None
            if not fault.is_error:
                break
            found.append(fault)
            self._keep(fault)
        return found

    def overhear(self, reply: str) -> None:
        """A reply that nobody waited for any more: what it tells is told once only. Any thread."""
        if (fault := Fault.parse(reply)).is_error:
            self._keep(fault)

    def _keep(self, fault: Fault) -> None:
        logger.warning("Mai Tai: error %d: %s", fault.code, fault.cause)
        with self._lock:
            self._recent.append((time.time(), fault))

    def __str__(self) -> str:
        with self._lock:
            recent = list(self._recent)
        return "; ".join(f"{time.strftime('%H:%M:%S', time.localtime(at))} {f.code} {f.cause}" for at, f in recent)


def raise_first(faults: Sequence[Fault], device: str, command: str) -> None:
    """Raise what the laser reported after ``command``; further errors become notes.

    :raises InstrumentError: there is one.
    """
    if not faults:
        return
    first = faults[0]
    error = InstrumentError(device, first.code, f"{first.cause}, after {command!r}", hint=first.hint)
    for fault in faults[1:]:
        error.add_note(f"then error {fault.code}: {fault.cause}")
    raise error
