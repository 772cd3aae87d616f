"""From the tables of a file to the annotations and methods of a class."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from operator import attrgetter
from typing import Annotated, Any

from ophyd_async.core import Command, SignalR, SignalRW, TriggerableCommand
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability
from rdaq_ophyd.declaration import Command as DeclaredCommand
from rdaq_ophyd.declaration import Declaration, Scope, Signal
from rdaq_ophyd.devices._declared_movable import Moving
from rdaq_ophyd.devices._declared_part import NOTHING_SENT, DeclaredPart
from rdaq_ophyd.devices._declared_read import TYPES, datatype, expected, native, reader, written
from rdaq_ophyd.devices._declared_stop import Halting, capability
from rdaq_ophyd.link import Fixed, Lane, Line, SerialSettings
from rdaq_ophyd.signals import Ask, Do, LineProtocol, Tell, check_value

FORMATS: Mapping[str, Format] = {
    "hinted": Format.HINTED_UNCACHED_SIGNAL,
    "uncached": Format.UNCACHED_SIGNAL,
    "config": Format.CONFIG_SIGNAL,
}


def protocol(declaration: Declaration) -> LineProtocol:
    """How texts become bytes."""
    link = declaration.link
    reply = Line(link.reply_end.encode(link.encoding)) if link.reply_length is None else Fixed(link.reply_length)
    return LineProtocol(
        command_end=link.command_end,
        reply=reply,
        timeout=link.timeout,
        serial=SerialSettings(**link.serial.model_dump()) if link.serial else SerialSettings(),
        encoding=link.encoding,
        separators=link.separators,
        controls=link.controls,
    )


def make_class(name: str, declaration: Declaration, scope: Scope, base: type[DeclaredPart], doc: str) -> type[Any]:
    """A class with the signals, commands and capabilities of ``scope``.

    :param base: what it is besides.
    """
    mixins: list[type] = ([Halting] if scope.stop is not None else []) + ([Moving] if scope.movable is not None else [])
    # The mixins build on the bare part; a whole device comes before them.
    bases = tuple(mixins or [base]) if base is DeclaredPart else (base, *mixins)
    members: dict[str, Any] = {
        "__doc__": doc,
        "__module__": base.__module__,
        "__annotations__": {n: _annotation(n, signal) for n, signal in scope.signal.items()},
        "declaration": declaration,
        "scope": scope,
        "protocol": protocol(declaration),
        "address_field": declaration.link.address or "address",
        "write_check": "" if declaration.errors is None else declaration.errors.ask,
        "stop_capability": _capability(scope),
    }
    for command_name, command in scope.command.items():
        members["__annotations__"][command_name] = _command(command_name, command, members)
    for word, signal_name in scope.capabilities:
        if signal_name is not None and word != signal_name:
            members[word] = property(attrgetter(signal_name))
    made: type[Any] = type(name, bases, members)
    return made


def _capability(scope: Scope) -> StopCapability:
    return NOTHING_SENT if scope.stop is None else capability(scope.stop, preempts=scope.stop.preempt)


def _annotation(name: str, signal: Signal) -> Any:
    kind = datatype(name, signal)
    shown = signal.format or ("config" if signal.tell else "uncached")
    extras = [_ask(signal, kind)] + ([FORMATS[shown]] if shown in FORMATS else [])
    access: Any = SignalRW if signal.tell else SignalR
    return Annotated[access[kind], *extras]


def _ask(signal: Signal, kind: type) -> Ask:
    tell: Any = signal.tell
    if isinstance(tell, dict):
        tell = {native(signal, kind, value): text for value, text in tell.items()}
    safe: Any = signal.safe
    if isinstance(safe, list):
        safe = tuple(native(signal, kind, value) for value in safe)
    return Ask(
        signal.ask,
        tell,
        units=signal.units,
        precision=signal.precision,
        limits=signal.limits if isinstance(signal.limits, tuple) else None,
        poll=signal.poll,
        timeout=signal.timeout,
        initial=native(signal, kind, signal.initial),
        # One command for each value needs no codes: what is told is known.
        codes=None if isinstance(tell, dict) else written(signal, kind),
        parse=reader(signal, kind),
        settle=signal.settle,
        check=signal.check,
        safe=safe,
        restore=signal.restore,
        reply=expected(signal.reply) if signal.reply else None,
    )


def _command(name: str, command: DeclaredCommand, members: dict[str, Any]) -> Any:
    lane = Lane.URGENT if command.lane == "urgent" else Lane.NORMAL
    if not command.args and not command.reply:
        tell = Tell(command.tell, preempt=command.preempt, lane=lane, check=command.check, safe=command.safe)
        return Annotated[TriggerableCommand, tell]
    members[f"_tell_{name}"] = _teller(name, command, lane)
    if not command.args:
        return Annotated[TriggerableCommand, Do(f"_tell_{name}")]
    types = [TYPES[arg.type] for arg in command.args.values()]
    return Annotated[Command[types, None], Do(f"_tell_{name}")]  # type: ignore[valid-type]


def _teller(name: str, command: DeclaredCommand, lane: Lane) -> Callable[..., Awaitable[None]]:
    answer = expected(command.reply) if command.reply else None

    async def tell(self: DeclaredPart, *given: Any) -> None:
        label, values = f"{self.name}-{name}", dict(zip(command.args, given, strict=True))
        for (what, arg), value in zip(command.args.items(), given, strict=True):
            check_value(f"{label} ({what})", value, arg.limits, None)
        channel, checker = self.channel, self.write_checker if command.check else None
        text = channel.filled(label, command.tell, values)
        if answer is not None:
            await channel.answered(label, text, answer, lane=lane, safe=command.safe)
        elif checker is not None:
            await channel.checked(text, checker, lane=lane, safe=command.safe)
        else:
            await channel.link.tell(channel.protocol.encode(text), lane=lane, safe=command.safe, who=channel.who)

    return tell
