"""``rdaq new instrument`` and ``rdaq check``: start the file of an instrument, and see whether it is right."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from rdaq_ophyd.errors import DeclarationError

from ._declaration import Declaration
from ._load import load
from ._receive import Pattern
from ._signals import NAME, Scope

STARTER = Path(__file__).parent / "starter.toml"
__all__ = ["check", "new"]


def new(name: str, directory: Path | None = None) -> int:
    """Write a commented file to begin with; it is valid as it is.

    :param directory: where; the current one unless given.
    :raises DeclarationError: the name is none, or there is such a file already.
    """
    if not re.fullmatch(NAME, name):
        raise DeclarationError(
            f"{name!r} is no name for an instrument", hint="small letters, digits and _, a letter first: keithley_2450"
        )
    target = (directory or Path.cwd()) / f"{name}.toml"
    text = STARTER.read_text(encoding="utf-8").replace("NAME", name)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise DeclarationError(f"{target} exists already", hint="remove it, or run this in another directory") from None
    except OSError as error:
        raise DeclarationError(f"{target}: cannot be written: {error.strerror}", hint="choose another place") from error
    sys.stdout.write(f"{target}\n")
    return 0


def check(source: str) -> int:
    """Read a file, and say what it declares and what its simulation would not understand.

    :raises DeclarationError: it is not what it must be; names file, line and reason.
    """
    declaration = load(source)
    scopes = [declaration, *declaration.group.values()]
    signals, commands = (sum(len(getattr(scope, what)) for scope in scopes) for what in ("signal", "command"))
    instrument = declaration.instrument
    out = [f"{instrument.name}: {instrument.manufacturer} {instrument.model}, {signals} signals, {commands} commands"]
    if declaration.sim is None:
        out.append("no [sim]: it cannot be simulated")
    else:
        missing = list(unanswered(declaration))
        out += [f"the simulation does not understand {text!r} ({what})" for what, text in missing]
        out += [] if missing else ["the simulation understands every question in the file"]
    sys.stdout.write("\n".join(out) + "\n")
    return 0


def unanswered(declaration: Declaration) -> Iterator[tuple[str, str]]:
    """Questions that the simulation would not understand: what they are for, and their text."""
    sim = declaration.sim
    if sim is None:
        return
    texts = [rule.receive for rule in sim.on] + ([sim.errors.receive] if sim.errors else [])
    patterns = [Pattern(text, scpi=sim.scpi, ignore_case=sim.ignore_case) for text in texts]
    for what, question in _questions(declaration):
        if all(pattern.match(question) is None for pattern in patterns):
            yield what, question


def _questions(declaration: Declaration) -> Iterator[tuple[str, str]]:
    fields = {declaration.link.address: "1"} if declaration.link.address else {}
    if declaration.identity is not None:
        yield "identity", declaration.identity.ask.format(**fields)
    if declaration.errors is not None:
        yield "errors", declaration.errors.ask.format(**fields)
    yield from _asked("", declaration, fields)
    for name, group in declaration.group.items():
        for channel, texts in group.channels.items():
            yield from _asked(f"{name}_{channel} ", group, {**fields, **texts, "channel": channel})


def _asked(label: str, scope: Scope, fields: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, signal in scope.signal.items():
        if signal.ask:
            yield label + name, signal.ask.format(**fields)
    if scope.safe_state is not None and scope.safe_state.ask:
        yield label + "safe_state", scope.safe_state.ask.format(**fields)
    if scope.movable is not None and scope.movable.done is not None:
        yield label + "movable.done", scope.movable.done.ask.format(**fields)
