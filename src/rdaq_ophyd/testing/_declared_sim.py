"""What the simulation of a declared instrument tells when it is asked directly, without a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from typing import Any

from rdaq_ophyd.declaration import Declaration, Signal
from rdaq_ophyd.sim import SimDeclared

A_WHILE = 3.0
"""Seconds in which what changes by itself does so."""


def answers(signal: Signal, question: str, values: Set[Any], sim: SimDeclared, now: float) -> bool:
    """Whether the instrument answers ``question`` with the text of one of ``values``, as the file's codes have it."""
    sim.elapse(now)
    said = _said(sim, question, now)
    part = said.split(",")[signal.field - 1].strip() if signal.field else said.strip()
    codes = signal.codes or {"true": ["1", "ON"], "false": ["0", "OFF"]}
    texts = [codes["true" if value is True else "false" if value is False else value] for value in values]
    return part in [text for known in texts for text in ([known] if isinstance(known, str) else known)]


def changing(declaration: Declaration, signals: Iterable[tuple[str, Signal, str]]) -> Iterator[str]:
    """Names of the signals whose answers are others after a while in which nothing was told."""
    before, after = SimDeclared(declaration), SimDeclared(declaration)
    for sim in (before, after):
        sim.elapse(0.0)
    after.elapse(A_WHILE)
    for name, _, question in signals:
        if _said(before, question, 0.0) != _said(after, question, A_WHILE):
            yield name


def twin(declaration: Declaration) -> SimDeclared | None:
    """The instrument with another serial number; None where its identity has none."""
    identity, sim = declaration.identity, declaration.sim
    if identity is None or sim is None:
        return None
    said = _said(SimDeclared(declaration), identity.ask, 0.0)
    found = re.fullmatch(identity.pattern, said)
    if found is None or not found.groupdict().get("serial"):
        return None
    start = found.start("serial")
    for digit in "98":
        other = f"{said[:start]}{digit}{said[start + 1 :]}"
        again = re.fullmatch(identity.pattern, other)
        if again is not None and again["serial"] != found["serial"]:
            return _Twin(declaration, identity.ask, other)
    return None


class _Twin(SimDeclared):
    """It says something else of itself."""

    def __init__(self, declaration: Declaration, question: str, said: str) -> None:
        super().__init__(declaration)
        link = declaration.link
        self._question, self._identity = question, (said + link.reply_end).encode(link.encoding)

    def execute(self, command: str, now: float) -> bytes | None:
        """The other identity; the rest is as in the file."""
        return self._identity if command == self._question else super().execute(command, now)


def _said(sim: SimDeclared, question: str, now: float) -> str:
    return (sim.execute(question, now) or b"").decode("latin-1").rstrip("\r\n")
