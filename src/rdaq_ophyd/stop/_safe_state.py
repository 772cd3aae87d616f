"""How a device is made safe, as data: used by stop-all in its own process and by the watchdog after that process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SafeState:
    """The bytes that make one device safe, and the question that proves it.

    :param device: its name, for the verdict.
    :param halt: whole lines without reply that stop it. May be sent again at any time without harm.
    :param preempt: the instrument takes ``halt`` while it owes a reply; else it goes to the urgent lane.
    :param question: asked until the reply says that the device is safe; empty: the instrument has no way to tell.
    :param end: mark at the end of the reply.
    :param safe: regular expression of the replies (without end mark, decoded as latin-1) that mean safe.
    :param agree: how many replies in a row must say so; 2 where the reply to ``halt`` looks like one of them.
    :param seconds: for each step, until the reply must say so.
    :param reply_timeout: seconds until a single reply counts as missing.
    :param abort: stronger than ``halt``, sent when that was not confirmed; empty: there is nothing stronger.
    :param power_off: the last resort; given only where the profile allows it (a vertical stage drops).
    :param first: light and shutters: served before everything that moves.
    :param answered: the instrument answers ``halt``, which then is one line and goes to the urgent lane.
    """

    device: str
    halt: bytes
    preempt: bool = False
    question: bytes = b""
    end: bytes = b"\n"
    safe: str = ""
    agree: int = 1
    seconds: float = 2.0
    reply_timeout: float = 1.0
    abort: bytes = b""
    power_off: bytes = b""
    first: bool = False
    answered: bool = False

    def is_safe(self, reply: bytes) -> bool:
        """Whether the reply to ``question`` means safe."""
        return re.fullmatch(self.safe, reply.decode("latin-1").strip()) is not None

    def steps(self) -> list[tuple[str, bytes]]:
        """What is tried one after another: name and bytes."""
        stronger = [("abort", self.abort), ("power off", self.power_off)]
        # The halt twice: one that was garbled or lost on the way is the likelier trouble.
        return [("halt", self.halt), ("a second halt", self.halt), *((n, c) for n, c in stronger if c)]

    def as_json(self) -> dict[str, Any]:
        """For the watchdog."""
        return {k: v.decode("latin-1") if isinstance(v, bytes) else v for k, v in vars(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SafeState:
        """From the session."""
        raw = ("halt", "question", "end", "abort", "power_off")
        return cls(**{k: v.encode("latin-1") if k in raw else v for k, v in data.items()})
