"""The texts of a declaration that are sent: each is one command, and can be encoded."""

from __future__ import annotations

from collections.abc import Iterator

from rdaq_ophyd.wire_text import unfit

from ._declaration import Declaration
from ._signals import AskedLimits, Group, Scope, Signal

Path = tuple[str | int, ...]


def check_wire(declaration: Declaration) -> Iterator[tuple[Path, str]]:
    """What is wrong with them: where, and what."""
    link = declaration.link
    for path, text in _texts(declaration):
        if why := unfit(text, link.encoding, link.command_end, link.controls):
            yield path, f"{text!r} {why}: one command at a time, in plain text"
    for path, text in _parts(declaration):
        if why := unfit(text, link.encoding, link.command_end):
            yield path, f"{text!r} {why}"
        elif found := next((char for char in text if char in link.separators), None):
            yield path, f"{text!r} has {found!r}, one of link.separators: write such commands out in 'tell'"


def _texts(declaration: Declaration) -> Iterator[tuple[Path, str]]:
    """What is sent as a command, or asked."""
    yield ("link", "heartbeat"), declaration.link.heartbeat
    if declaration.identity is not None:
        yield ("identity", "ask"), declaration.identity.ask
        yield from ((("identity", "prepare", i), text) for i, text in enumerate(declaration.identity.prepare))
    if declaration.errors is not None:
        yield ("errors", "ask"), declaration.errors.ask
    for path, scope in _scopes(declaration):
        yield from (((*path, *inside), text) for inside, text in _of_scope(scope))


def _of_scope(scope: Scope) -> Iterator[tuple[Path, str]]:
    for name, signal in scope.signal.items():
        yield from ((("signal", name, *inside), text) for inside, text in _of_signal(signal))
    for name, command in scope.command.items():
        yield ("command", name, "tell"), command.tell
    if (stop := scope.stop) is not None:
        yield from ((("stop", "tell"), stop.tell), (("stop", "ask"), stop.ask))
    if (safe := scope.safe_state) is not None:
        yield from ((("safe_state", "tell", i), text) for i, text in enumerate(safe.tell))
        yield from ((("safe_state", key), getattr(safe, key)) for key in ("ask", "abort", "power_off"))
    if scope.movable is not None and scope.movable.done is not None:
        yield ("movable", "done", "ask"), scope.movable.done.ask


def _of_signal(signal: Signal) -> Iterator[tuple[Path, str]]:
    yield ("ask",), signal.ask
    if isinstance(signal.tell, str):
        yield ("tell",), signal.tell
    else:
        yield from ((("tell", value), text) for value, text in signal.tell.items())
    if isinstance(signal.limits, AskedLimits):
        yield from ((("limits", "low"), signal.limits.low), (("limits", "high"), signal.limits.high))


def _parts(declaration: Declaration) -> Iterator[tuple[Path, str]]:
    """What is filled into them."""
    for path, scope in _scopes(declaration):
        for name, signal in scope.signal.items():
            for value, texts in signal.codes.items() if isinstance(signal.tell, str) and signal.tell else ():
                yield (*path, "signal", name, "codes", value), texts if isinstance(texts, str) else "".join(texts[:1])
        for channel, more in scope.channels.items() if isinstance(scope, Group) else ():
            yield (*path, "channels", channel), channel
            yield from (((*path, "channels", channel, name), text) for name, text in more.items())


def _scopes(declaration: Declaration) -> Iterator[tuple[Path, Scope]]:
    yield (), declaration
    yield from ((("group", name), group) for name, group in declaration.group.items())
