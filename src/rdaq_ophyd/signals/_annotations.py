"""How a signal or a command is written on the wire, declared beside its type."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from rdaq_ophyd.link import Lane


# Every session imports this: of classes that are only the fields of others, nothing else is generated.
@dataclass(frozen=True, init=False, repr=False, eq=False)
class Quantity:
    """What is known about a signal's value, however it is read.

    :param units: as recorded; None where the instrument's configuration decides (see ``LinkDevice.set_metadata``).
    :param precision: digits after the point when displayed.
    :param limits: lowest and highest value that may be written, in ``units``.
    :param poll: seconds between two reads while somebody is subscribed.
    :param timeout: seconds to wait for a reply; None for the protocol's.
    :param initial: the value in mock mode.
    """

    units: str | None = None
    precision: int | None = None
    limits: tuple[float, float] | None = None
    poll: float = 0.5
    timeout: float | None = None
    initial: Any = None


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Wire:
    """The two texts of ``Ask``, first so that they can be given by position."""

    read: str = ""
    write: str | Mapping[Any, str] = ""


@dataclass(frozen=True)
class Ask(Quantity, Wire):
    """A signal that is a question and a setting command: ``Ask("{axis}VA?", "{axis}VA{value:.6f}", units="mm/s")``.

    :param read: the question; empty for a signal that can only be written (it then shows what was written last).
    :param write: the command that sets ``{value}``, or one command for each value.
    :param codes: the value on the wire for each value of the signal, e.g. ``{Filter.SLOW: "1"}``.
    :param parse: from the reply to the value; None for a strict reading by the signal's type. A ValueError becomes
        BadReply.
    :param lane: priority of reads and writes that are asked for (background polls are always ``Lane.POLL``).
    :param settle: seconds to wait after a write until the instrument has taken the setting.
    :param check: ask the device's ``write_check`` after a write.
    :param safe: whether it may be written while everything is stopped: True, or those values that may (a shutter
        closed, an output off).
    :param restore: the value that this process wrote last is written again when the link was lost, came back, and the
        instrument has another one then. Only for settings that move, open and emit nothing.
    :param reply: the instrument answers the setting command itself: this reads the answer, and raises a ValueError
        that says what it expected when it is none that means success. Then ``check`` has no effect.
    """

    codes: Mapping[Any, str] | None = None
    parse: Callable[[str], Any] | None = None
    lane: Lane = Lane.NORMAL
    settle: float = 0.0
    check: bool = True
    safe: bool | Collection[Any] = False
    restore: bool = False
    reply: Callable[[str], Any] | None = None

    def is_safe(self, value: Any) -> bool:
        """Whether ``value`` may be written while everything is stopped."""
        return self.safe if isinstance(self.safe, bool) else value in self.safe


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Method:
    """The name in ``Measure``, first so that it can be given by position."""

    method: str


@dataclass(frozen=True)
class Measure(Quantity, Method):
    """A signal that takes more than one exchange: an async method of the device, given the lane, returns a ``Sample``.

    :param method: name of the method.
    :param write: name of the async method that takes a value to set; empty for a signal that is only read.
    """

    write: str = ""


@dataclass(frozen=True)
class Sample:
    """A value with its quality.

    :param severity: 0 fine, 1 minor, 2 major, 3 invalid (as in EPICS).
    :param timestamp: when it was taken, in seconds since 1970; made now unless given.
    """

    value: Any
    severity: int = 0
    timestamp: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Tell:
    """A command: ``Tell("{axis}ST", preempt=True)``. Arguments are ``{arg0}``, ``{arg1}`` …

    A command declared with a result, ``Command[[], str]``, waits for a reply and reads it strictly by its type.

    :param command: the text to send.
    :param preempt: write it at once, past everything that waits. Only where the instrument takes input while it owes a
        reply, and sends no reply to this command.
    :param lane: its priority when it does not preempt.
    :param check: ask the device's ``write_check`` afterwards (never after a preempting command).
    :param safe: allowed while everything is stopped. What preempts is a stop, and safe.
    """

    command: str
    preempt: bool = False
    lane: Lane = Lane.NORMAL
    check: bool = True
    safe: bool = False


@dataclass(frozen=True)
class Do:
    """A command that takes more than one exchange: an async method of the device, given the command's arguments."""

    method: str
