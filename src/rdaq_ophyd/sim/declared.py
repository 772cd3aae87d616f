"""A simulated instrument made from the part of its file that says how it behaves.

It reads nothing of the file but ``sim``, the marks at the ends of commands and replies, and the baud rate: what the
signals of the file say is for the driver.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rdaq_ophyd.declaration import (
    Action,
    Answer,
    Declaration,
    Expression,
    ExpressionError,
    Pattern,
    Rule,
    Sim,
    TemplateError,
    load,
)
from rdaq_ophyd.errors import DeclarationError
from rdaq_ophyd.sim._declared_lines import end_mark, split_line
from rdaq_ophyd.sim._declared_state import Evolution, assign
from rdaq_ophyd.sim._instrument import Instrument

__all__ = ["SimDeclared"]

logger = logging.getLogger(__name__)


class SimDeclared(Instrument):
    """The instrument that a file describes; see ``[sim]`` in the reference of the file format.

    :param source: the file, the name of an instrument that comes with this package, or what was read from one.
    :param latency: seconds per command; those of the file unless given.
    :raises DeclarationError: the file is not what it must be, or does not say how the instrument behaves.
    """

    def __init__(self, source: str | Path | Declaration, *, latency: float | None = None) -> None:
        declaration = source if isinstance(source, Declaration) else load(source)
        if declaration.sim is None:
            raise DeclarationError(
                f"{declaration.instrument.name}: its file has no [sim]", hint="say there what it answers"
            )
        sim, link = declaration.sim, declaration.link
        # One class, many instruments.
        self.name = declaration.instrument.name  # type: ignore[misc]
        self.baud = link.serial.baudrate if link.serial else 115_200  # type: ignore[misc]
        self.terminator = end_mark(link.command_end).encode(link.encoding)  # type: ignore[misc]
        super().__init__(latency=sim.latency if latency is None else latency)
        self._sim, self._encoding = sim, link.encoding
        self._reply_end = "" if link.reply_length is not None else link.reply_end
        self._rules = [(Pattern(r.receive, scpi=sim.scpi, ignore_case=sim.ignore_case), r) for r in sim.on]
        queue = sim.errors
        self._asks_errors = _pattern(sim, queue.receive) if queue else None
        self._clears = [_pattern(sim, text) for text in queue.clear] if queue else []
        self.evolution = Evolution(sim)
        self.errors: deque[str] = deque()
        self._compiled: dict[str, Answer | Expression] = {}
        for rule in sim.on:
            if rule.latency is not None:
                self.latencies[rule.receive] = rule.latency

    @property
    def state(self) -> dict[str, Any]:
        """What it remembers, by the names in the file; look at it and change it through ``Port.call``."""
        return self.evolution.state

    def holds(self, expression: str, now: float) -> bool:
        """Whether an expression of its state holds at ``now``."""
        self.elapse(now)
        return bool(self._evaluate(Expression, expression, {}))

    def split(self, line: str) -> list[str]:
        """The commands on a line, as the file separates them."""
        return split_line(line.strip("\r\n\0"), scpi=self._sim.scpi, separator=self._sim.separator)

    def mnemonic(self, command: str) -> str:
        """The text in the file that understands it; the command itself where none does."""
        found = self._find(command)
        return command if found is None else found[0].receive

    def overlong(self, now: float) -> None:  # noqa: ARG002 - it has no clock
        """A line that is too long is not understood."""
        self._act(self._sim.unknown, {})

    def elapse(self, now: float) -> None:
        """Ramps go on."""
        self.evolution.elapse(now)

    def execute(self, command: str, now: float) -> bytes | None:  # noqa: ARG002 - the state knows the time
        """Do what the file says; what it does not know is ``unknown``."""
        if self._asks_errors is not None and self._asks_errors.match(command) is not None:
            return self._said(self.errors.popleft() if self.errors else self._queue_text("empty"))
        cleared = any(pattern.match(command) is not None for pattern in self._clears)
        if cleared:
            self.errors.clear()
        found = self._find(command)
        if found is None:
            return None if cleared else self._act(self._sim.unknown, {})
        rule, given = found
        if rule.check is not None and not self._evaluate(Expression, rule.check, given):
            return self._act(rule.refused, given)
        return self._act(rule, given)

    def _find(self, command: str) -> tuple[Rule, Mapping[str, Any]] | None:
        for pattern, rule in self._rules:
            if (given := pattern.match(command)) is not None:
                return rule, given
        return None

    def _act(self, action: Action, given: Mapping[str, Any]) -> bytes | None:
        answer = None if action.answer is None else self._evaluate(Answer, action.answer, given)
        # All from the state before it: `set = { a = "b", b = "a" }` exchanges them.
        new = {
            target: self._evaluate(Expression, value, given) if isinstance(value, str) else value
            for target, value in action.set.items()
        }
        for target, value in new.items():
            assign(self.state, target, given, value)
        if action.error is not None:
            self._report(action.error)
        return None if answer is None else self._said(str(answer))

    def _evaluate(self, kind: type[Answer] | type[Expression], text: str, given: Mapping[str, Any]) -> Any:
        compiled = self._compiled.get(text)
        if not isinstance(compiled, kind):
            compiled = self._compiled[text] = kind(text)
        try:
            return compiled(self.evolution.names(given))
        except (ExpressionError, TemplateError) as error:
            # A slip in the file: the instrument lives on, as a real one does, and a person is told.
            logger.error("simulated %s: %s", self.name, error)
            return "" if kind is Answer else 0

    def _report(self, entry: str) -> None:
        queue = self._sim.errors
        if queue is None:
            return
        if len(self.errors) >= queue.limit:
            self.errors[-1] = queue.overflow or self.errors[-1]
        else:
            self.errors.append(entry)

    def _queue_text(self, which: str) -> str:
        return "" if self._sim.errors is None else str(getattr(self._sim.errors, which))

    def _said(self, text: str) -> bytes:
        return (text + self._reply_end).encode(self._encoding)


def _pattern(sim: Sim, text: str) -> Pattern:
    return Pattern(text, scpi=sim.scpi, ignore_case=sim.ignore_case)
