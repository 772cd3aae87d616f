"""What the simulated part of a declaration must hold beyond the types of its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import Any

from ._expression import Expression, ExpressionError
from ._receive import Pattern
from ._sim import Action, Rule, Sim
from ._template import Answer, TemplateError

Complaint = tuple[tuple[str | int, ...], str]


def check_sim(sim: Sim) -> Iterator[Complaint]:
    """Every expression and pattern is one, and every name in them is known."""
    known = set(sim.state) | set(sim.derived)
    for name in known:
        if not name.isidentifier():
            yield ("sim", "state" if name in sim.state else "derived", name), f"{name!r} is no name"
    for name in set(sim.state) & set(sim.derived):
        yield ("sim", "derived", name), f"{name!r} is a part of the state already"
    before = set(sim.state)
    for name, text in sim.derived.items():
        yield from _compiled(("sim", "derived", name), Expression, text, before)
        before.add(name)  # one may build on those above it
    yield from _motions(sim, known)
    for i, rule in enumerate(sim.on):
        yield from _rule(("sim", "on", i), rule, sim, known)
    yield from _action(("sim", "unknown"), sim.unknown, sim, known)
    if sim.errors is not None:
        for i, text in enumerate((sim.errors.receive, *sim.errors.clear)):
            where = ("sim", "errors", "receive") if i == 0 else ("sim", "errors", "clear", i - 1)
            yield from _compiled(where, lambda text: _pattern(text, sim), text, known)


def _motions(sim: Sim, known: Set[str]) -> Iterator[Complaint]:
    for i, ramp in enumerate(sim.ramp):
        if not isinstance(state_value(sim, ramp.state), int | float):
            yield ("sim", "ramp", i, "state"), f"{ramp.state!r} is no number of the state"
        yield from _compiled(("sim", "ramp", i, "target"), Expression, ramp.target, known)
        yield from _compiled(("sim", "ramp", i, "rate"), Expression, ramp.rate, known)
    for i, move in enumerate(sim.move):
        yield from _compiled(("sim", "move", i, "moving"), Expression, move.moving, known)


def state_value(sim: Sim, name: str) -> Any:
    """What ``kelvin.A`` is after power-up; None where there is nothing of that name."""
    table, _, member = name.partition(".")
    value = sim.state.get(table)
    if isinstance(value, dict):
        return value.get(member) if member else None
    return None if member else value


def _pattern(text: str, sim: Sim) -> Pattern:
    return Pattern(text, scpi=sim.scpi, ignore_case=sim.ignore_case)


def _rule(path: tuple[str | int, ...], rule: Rule, sim: Sim, known: Set[str]) -> Iterator[Complaint]:
    try:
        samples = _pattern(rule.receive, sim).samples
    except (TemplateError, ExpressionError) as error:
        yield (*path, "receive"), str(error)
        return
    if clash := known & set(samples):
        yield (*path, "receive"), f"{{{min(clash)}}} is a name of the state already"
    names = known | set(samples)
    if rule.check is not None:
        yield from _compiled((*path, "check"), Expression, rule.check, names)
    yield from _action(path, rule, sim, names)
    yield from _action((*path, "refused"), rule.refused, sim, names)


def _action(path: tuple[str | int, ...], action: Action, sim: Sim, names: Set[str]) -> Iterator[Complaint]:
    if action.answer is not None:
        yield from _compiled((*path, "answer"), Answer, action.answer, names)
    for target, value in action.set.items():
        table, bracket, key = target.partition("[")
        if table not in sim.state or bool(bracket) != isinstance(sim.state[table], dict):
            yield (*path, "set", target), f"{target!r} is no part of the state"
        elif bracket and (not key.endswith("]") or key[:-1] not in names | set(sim.state[table])):  # type: ignore[arg-type]
            yield (
                (*path, "set", target),
                f"{key.rstrip(']')!r} is neither a place in the text nor a member of {table!r}",
            )
        if isinstance(value, str):
            yield from _compiled((*path, "set", target), Expression, value, names)
    if action.error is not None and sim.errors is None:
        yield (*path, "error"), "there is no queue for it: describe it in [sim.errors]"


def _compiled(
    path: tuple[str | int, ...], compiler: Callable[[str], Any], text: str, known: Set[str]
) -> Iterator[Complaint]:
    try:
        made = compiler(text)
    except (ExpressionError, TemplateError) as error:
        yield path, str(error)
        return
    names: Set[str] = getattr(made, "names", frozenset())
    if unknown := names - known:
        yield path, f"{text!r}: unknown name {min(unknown)!r}; known here: {', '.join(sorted(known)) or 'none'}"
