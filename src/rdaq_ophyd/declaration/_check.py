"""What a declaration must hold beyond the types of its keys: names that are used exist, texts can be filled."""

from __future__ import annotations

import codecs
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._check_capabilities import check_capabilities, no_signal
from ._check_sim import check_sim
from ._check_wire import check_wire
from ._declaration import Declaration
from ._parts import Errors, SafeState, Stop
from ._signals import NAME, AskedLimits, Command, Group, Movable, Scope, Signal
from ._template import TemplateError, check_template

Complaint = tuple[tuple[str | int, ...], str]
"""Where, and what."""
_TAKEN = """add_children_as_readables add_readables address address_field after_connect after_reconnect channel
    check_value check_write children clear_sub close collect collect_asset_docs collect_pages complete
    connect connection declaration declared_move declared_stop describe describe_collect
    describe_configuration empty_errors feed feed_period follow follow_stop from_file get_index groups halt
    handshake heartbeat heartbeat_period hints identity is_stop_target kickoff last limits_of locate log
    logic make_safe_by movable_logic name note_stop now parent parts pause prepare protocol reacquaint read
    read_configuration resume safe_states says scope seen set set_metadata set_name stage starts_watchdog
    stop stop_capability subscribe subscribe_reading tighten trigger unheard units_of unstage whole
    write_check write_checker"""
TAKEN = frozenset(_TAKEN.split())
"""Names that every device has already."""
SAMPLES: Mapping[str, Any] = {"float": 1.5, "int": 1, "bool": True, "str": "x", "enum": "x"}


def complaints(declaration: Declaration) -> Iterator[Complaint]:
    """What is wrong, the first things first."""
    yield from _link(declaration)
    fields = {declaration.link.address: "1"} if declaration.link.address else {}
    yield from _texts(("identity",), declaration.identity, ("ask",), fields)
    if declaration.identity is not None:
        yield from _pattern(("identity", "pattern"), declaration.identity.pattern)
        for i, text in enumerate(declaration.identity.prepare):
            yield from _text(("identity", "prepare", i), text, fields)
    if declaration.errors is not None:
        yield from _errors(declaration.errors, fields)
    yield from _scope((), declaration, fields, set(declaration.group))
    yield from check_wire(declaration)
    if declaration.link.reply_length is not None:
        for path, scope in [((), declaration), *((("group", n), g) for n, g in declaration.group.items())]:
            if scope.safe_state is not None and scope.safe_state.ask:
                yield (*path, "safe_state", "ask"), "needs replies with an end mark: 'link.reply_end'"
    for name, group in declaration.group.items():
        yield from _group(("group", name), name, group, fields)
    if declaration.sim is not None:
        yield from check_sim(declaration.sim)


def _link(declaration: Declaration) -> Iterator[Complaint]:
    link = declaration.link
    for key in ("command_end", "reply_end"):
        try:
            codecs.encode(getattr(link, key), link.encoding)
        except UnicodeEncodeError as error:
            yield ("link", key), f"cannot be sent as {link.encoding}: {error.reason}"
    if link.address and (not link.address.isidentifier() or link.address in {"value", "channel"}):
        yield ("link", "address"), f"{link.address!r} cannot stand in braces: give a name other than value and channel"
    fields = {link.address: "1"} if link.address else {}
    yield from _texts(("link",), link, ("heartbeat",), fields)


def _errors(errors: Errors, fields: Mapping[str, Any]) -> Iterator[Complaint]:
    yield from _texts(("errors",), errors, ("ask",), fields)
    yield from _pattern(("errors", "ok"), errors.ok)
    yield from _pattern(("errors", "pattern"), errors.pattern, ("code", "message") if errors.pattern else ())
    for bit in errors.bits:
        if not bit.isdigit() or int(bit) < 1 or int(bit) & (int(bit) - 1):
            yield ("errors", "bits", bit), f"{bit!r} is no bit: a power of two is needed"


def _group(path: tuple[str, ...], name: str, group: Group, fields: Mapping[str, Any]) -> Iterator[Complaint]:
    yield from _name(path, name)
    extra = [frozenset(texts) for texts in group.channels.values()]
    for channel, texts in group.channels.items():
        where = (*path, "channels", channel)
        if not f"{name}_{channel}".lower().isidentifier():
            yield where, f"channel {channel!r} makes no name: letters, digits and _ only"
        if missing := frozenset.union(*extra) - frozenset(texts):
            yield where, f"channel {channel!r} lacks {', '.join(sorted(missing))}, which another one has"
        for text in texts:
            if not text.isidentifier() or text in {"value", "channel", *fields}:
                yield (*where, text), f"{text!r} cannot stand in braces here"
    yield from _scope(path, group, {**fields, "channel": "1", **dict.fromkeys(frozenset.union(*extra), "1")}, set())


def _scope(
    path: tuple[str, ...], scope: Scope, fields: Mapping[str, Any], groups: Iterable[str]
) -> Iterator[Complaint]:
    for name, signal in scope.signal.items():
        yield from _name((*path, "signal", name), name)
        yield from _signal((*path, "signal", name), signal, fields)
    for name, command in scope.command.items():
        yield from _name((*path, "command", name), name)
        if name in scope.signal or name in groups:
            yield (*path, "command", name), f"{name!r} is the name of something else already"
        yield from _command((*path, "command", name), command, fields)
    if scope.stop is not None:
        yield from _stop((*path, "stop"), scope.stop, fields)
    if scope.safe_state is not None:
        yield from _safe_state((*path, "safe_state"), scope.safe_state, fields)
    if scope.movable is not None:
        yield from _movable((*path, "movable"), scope.movable, scope, fields)
    yield from check_capabilities(path, scope)


def _name(path: tuple[str, ...], name: str) -> Iterator[Complaint]:
    if not re.fullmatch(NAME, name) or keyword.iskeyword(name):
        yield path, f"{name!r} is no name: small letters, digits and _, a letter first"
    elif name in TAKEN:
        yield path, f"{name!r} is what every device has already; take another name"


def _signal(path: tuple[str, ...], signal: Signal, fields: Mapping[str, Any]) -> Iterator[Complaint]:
    if not signal.ask and not signal.tell:
        yield path, "a signal needs 'ask', 'tell' or both"
    elif not signal.ask and signal.initial is None:
        yield path, "a signal that can only be written needs 'initial': what it shows until it was"
    yield from _texts(path, signal, ("ask",), fields)
    yield from _tell(path, signal, fields)
    yield from _codes(path, signal)
    yield from _pattern((*path, "reply"), signal.reply)
    yield from _pattern((*path, "pattern"), signal.pattern, ("value",) if signal.pattern else ())
    if signal.pattern and signal.field is not None:
        yield (*path, "field"), "give either 'pattern' or 'field'"
    if signal.limits is not None and signal.type not in {"float", "int"}:
        yield (*path, "limits"), f"a {signal.type} has no limits"
    if isinstance(signal.limits, AskedLimits):
        yield from _texts((*path, "limits"), signal.limits, ("low", "high"), fields)
    elif signal.limits is not None and signal.limits[0] >= signal.limits[1]:
        yield (*path, "limits"), "the lower limit comes first"
    for key in ("restore", "safe", "settle", "reply"):
        if getattr(signal, key) and not signal.tell:
            yield (*path, key), f"{key!r} needs a 'tell'"
    if signal.restore and isinstance(signal.safe, list):
        yield (*path, "restore"), "what is not safe in each of its values is not written again by itself; leave it out"
    yield from _values(path, signal)


def _tell(path: tuple[str, ...], signal: Signal, fields: Mapping[str, Any]) -> Iterator[Complaint]:
    if isinstance(signal.tell, str):
        # What is formatted is the text on the wire, where there is one.
        sample = "x" if signal.codes else SAMPLES[signal.type]
        yield from _text((*path, "tell"), signal.tell, {**fields, "value": sample})
        if signal.tell and "{value" not in signal.tell:
            yield (*path, "tell"), "{value} is missing"
        return
    for value, text in signal.tell.items():
        yield from _text((*path, "tell", value), text, fields)
    if signal.type not in {"bool", "enum"}:
        yield (*path, "tell"), f"one command for each value is for bool and enum, not for {signal.type}"
    elif signal.type == "bool" and set(signal.tell) != {"true", "false"}:
        yield (*path, "tell"), "a bool has the values true and false"
    elif signal.type == "enum" and set(signal.tell) - set(signal.codes):
        yield (*path, "tell"), "has values that 'codes' lacks"


def _codes(path: tuple[str, ...], signal: Signal) -> Iterator[Complaint]:
    if signal.type == "enum" and not signal.codes:
        yield path, "an enum needs 'codes': what each of its values is on the wire"
    if signal.codes and signal.type not in {"bool", "enum"}:
        yield (*path, "codes"), f"'codes' is for bool and enum, not for {signal.type}"
    if signal.codes and signal.type == "bool" and set(signal.codes) != {"true", "false"}:
        yield (*path, "codes"), "a bool has the values true and false"
    seen: dict[str, str] = {}
    for value, texts in signal.codes.items():
        if not texts:
            yield (*path, "codes", value), "has no text"
        for text in [texts] if isinstance(texts, str) else texts:
            if seen.setdefault(text, value) != value:
                yield (*path, "codes", value), f"{text!r} stands for {seen[text]!r} already"


def _values(path: tuple[str, ...], signal: Signal) -> Iterator[Complaint]:
    """Values of the signal that stand in the file are such as it can have."""
    for key, value in (("initial", signal.initial), *(("safe", v) for v in _listed(signal.safe))):
        if value is not None and not _fits(value, signal):
            yield (*path, key), f"{value!r} is no value of this signal ({signal.type})"


def _listed(safe: bool | list[Any]) -> list[Any]:
    return safe if isinstance(safe, list) else []


def _fits(value: Any, signal: Signal) -> bool:
    match signal.type:
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case "enum":
            return value in signal.codes
        case _:
            return isinstance(value, str)


def _command(path: tuple[str, ...], command: Command, fields: Mapping[str, Any]) -> Iterator[Complaint]:
    samples = {**fields, **{name: SAMPLES[arg.type] for name, arg in command.args.items()}}
    yield from _text((*path, "tell"), command.tell, samples)
    yield from _pattern((*path, "reply"), command.reply)
    for name, arg in command.args.items():
        if not name.isidentifier() or name in fields:
            yield (*path, "args", name), f"{name!r} cannot stand in braces here"
        if arg.limits is not None and arg.limits[0] >= arg.limits[1]:
            yield (*path, "args", name, "limits"), "the lower limit comes first"


def _stop(path: tuple[str, ...], stop: Stop, fields: Mapping[str, Any]) -> Iterator[Complaint]:
    yield from _texts(path, stop, ("tell", "ask"), fields)
    yield from _pattern((*path, "reply"), stop.reply)
    yield from _pattern((*path, "safe"), stop.safe)


def _safe_state(path: tuple[str, ...], safe: SafeState, fields: Mapping[str, Any]) -> Iterator[Complaint]:
    yield from _texts(path, safe, ("ask", "abort", "power_off"), fields)
    for i, text in enumerate(safe.tell):
        yield from _text((*path, "tell", i), text, fields)
    yield from _pattern((*path, "safe"), safe.safe)


def _movable(path: tuple[str, ...], movable: Movable, scope: Scope, fields: Mapping[str, Any]) -> Iterator[Complaint]:
    for key, name in (("setpoint", movable.setpoint), ("readback", movable.readback)):
        signal = scope.signal.get(name)
        if signal is None:
            yield (*path, key), no_signal(name, scope)
        elif signal.type != "float":
            yield (*path, key), f"{name!r} is a {signal.type}; a float is needed"
        elif not (signal.tell if key == "setpoint" else signal.ask):
            yield (*path, key), f"{name!r} cannot be {'written' if key == 'setpoint' else 'read'}"
    yield from _same_units(path, movable, scope)
    if movable.setpoint == movable.readback and movable.tolerance is not None and movable.done is None:
        yield (*path, "readback"), "a setpoint that is its own readback is there at once; give 'done'"
    if movable.done is not None:
        yield from _texts((*path, "done"), movable.done, ("ask",), fields)
        yield from _pattern((*path, "done", "reply"), movable.done.reply)
    yield from _required(path, movable, scope, fields)


def _same_units(path: tuple[str, ...], movable: Movable, scope: Scope) -> Iterator[Complaint]:
    names = [name for name in (movable.setpoint, movable.readback) if name in scope.signal]
    units = [scope.signal[name].units or "" for name in names]
    if len(set(units)) > 1:
        said = " and ".join(f"{name!r} is in {unit or 'no unit'}" for name, unit in zip(names, units, strict=True))
        yield (*path, "setpoint"), f"{said}; setpoint and readback need the same units"


def _required(path: tuple[str, ...], movable: Movable, scope: Scope, fields: Mapping[str, Any]) -> Iterator[Complaint]:
    for name, value in movable.require.items():
        if name not in scope.signal:
            yield (*path, "require", name), no_signal(name, scope)
        elif isinstance(value, str) and "{" in value:
            yield from _text((*path, "require", name), value, fields)
        elif not _fits(value, scope.signal[name]):
            yield (*path, "require", name), f"{value!r} is no value of {name!r} ({scope.signal[name].type})"


def _texts(path: tuple[str, ...], table: Any, keys: Iterable[str], fields: Mapping[str, Any]) -> Iterator[Complaint]:
    for key in keys if table is not None else ():
        yield from _text((*path, key), getattr(table, key), fields)


def _text(path: tuple[str | int, ...], text: str, samples: Mapping[str, Any]) -> Iterator[Complaint]:
    try:
        check_template(text, samples)
    except TemplateError as error:
        yield path, str(error)


def _pattern(path: tuple[str, ...], pattern: str, groups: Iterable[str] = ()) -> Iterator[Complaint]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        yield path, f"{pattern!r} is no regular expression: {error}"
        return
    if missing := [group for group in groups if group not in compiled.groupindex]:
        yield path, f"{pattern!r} lacks the group (?P<{missing[0]}>…)"
