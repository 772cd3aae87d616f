"""Directives for declared instruments: their pages and the tables of their format, taken from files and models."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from _generated import Generated, code, table
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx

from rdaq_ophyd import declaration
from rdaq_ophyd.capabilities import describe
from rdaq_ophyd.declaration import Declaration, Scope, Signal, load
from rdaq_ophyd.devices.declared import class_of


class FormatTable(Generated):
    """``{rdaq-format} Signal``: the keys of one table of the file format."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """One row a key."""
        model = getattr(declaration, self.arguments[0])
        inherited = set() if model is Scope else set(Scope.model_fields) if issubclass(model, Scope) else set()
        fields = {name: field for name, field in model.model_fields.items() if name not in inherited}
        yield from table(
            ("key", "type", "unless given", "meaning"),
            (
                (f"`{name}`", _kind(field.annotation), _default(field), field.description or "")
                for name, field in fields.items()
            ),
        )


def _kind(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{a!r}`" for a in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(a) for a in args if a is not type(None))
    if origin is list:
        return f"list of {_kind(args[0])}"
    if origin is dict:
        return f"table of {_kind(args[1])}"
    if origin is tuple:
        return "two numbers"
    if origin is not None and args:  # Annotated
        return _kind(args[0])
    words = {bool: "true or false", int: "integer", float: "number", str: "text"}
    return words.get(annotation, f"[{annotation.__name__.lower()}](#{annotation.__name__.lower()})")


def _default(field: Any) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "**needed**"
    return "" if value in (None, "", [], {}) or hasattr(value, "model_fields") else f"`{value!r}`"


class InstrumentPage(Generated):
    """``{rdaq-declared} keithley_2450``: the page of a shipped instrument, all of it from its file."""

    required_arguments = 1
    has_content = True

    def lines(self) -> Iterator[str]:
        """The page."""
        made = load(self.arguments[0])
        self.env.note_dependency(str(declaration.find(self.arguments[0])))
        yield from _head(made)
        yield from self.content
        yield ""
        yield from _link(made)
        yield from _scope(made, "The instrument")
        for name, group in made.group.items():
            channels = ", ".join(f"`{name}_{channel}`".lower() for channel in group.channels)
            yield from _scope(group, channels, f"{group.doc} Parts of the device: {channels}.")


def _head(made: Declaration) -> Iterator[str]:
    instrument, link = made.instrument, made.link
    name = "".join(word.title() for word in instrument.name.split("_"))
    yield from (f"# {instrument.manufacturer} {instrument.model}", "", instrument.description, "")
    yield from (f"**Manual:** *{instrument.manual}*.", "", f"**Run against:** {instrument.run_against}.", "")
    file = f"`instruments/{instrument.name}.toml`"
    yield f"A [declared instrument](../declared-instruments.md): all of it is in its file, {file}."
    yield from (
        "",
        "```python",
        "from rdaq_ophyd.devices.declared import declared",
        "",
        f'{name} = declared("{instrument.name}")',
        f'device = {name}("tcp://127.0.0.1:{link.tcp_port or 5000}", "{instrument.name}")',
        "```",
        "",
        instrument.notes,
        "",
    )


def _link(made: Declaration) -> Iterator[str]:
    link = made.link
    yield from ("## Link", "")
    if link.serial is not None:
        s = link.serial
        yield f"- serial {s.baudrate} baud, {s.bytesize}{s.parity}{s.stopbits:g}"
    if link.tcp_port is not None:
        yield f"- TCP port {link.tcp_port}: `tcp://HOST:{link.tcp_port}`"
    if link.visa:
        yield f"- VISA, for example `{link.visa}`"
    yield f"- commands end with `{link.command_end!r}`, replies with `{link.reply_end!r}`; time-out {link.timeout:g} s"
    if made.identity is not None:
        yield f"- identity: `{made.identity.ask}` must be answered like `{made.identity.pattern}`"
    if made.errors is not None:
        yield f"- after each write: `{made.errors.ask}`; a complaint is an `InstrumentError`"
    if link.heartbeat:
        yield f"- asked when idle for {link.heartbeat_period:g} s: `{link.heartbeat}`"
    device = class_of(made)("tcp://127.0.0.1:1", address=1 if link.address else None)
    yield from (f"- capabilities: {describe(device)}", "")


def _scope(scope: Scope, title: str, doc: str = "") -> Iterator[str]:
    if not (scope.signal or scope.command or scope.safe_state):
        return
    yield from (f"## {title}", "", doc, "")
    yield from table(
        ("signal", "type", "on the wire", "units, limits", "meaning"),
        (_signal(name, signal) for name, signal in scope.signal.items()),
    )
    yield from table(
        ("command", "arguments", "on the wire", "meaning"),
        (
            (f"`{name}`", ", ".join(f"`{arg}`" for arg in command.args), code(command.tell), command.doc)
            for name, command in scope.command.items()
        ),
    )
    if restored := [f"`{name}`" for name, signal in scope.signal.items() if signal.restore]:
        yield from (f"Written again when the link comes back and it was lost: {', '.join(restored)}.", "")
    if (movable := scope.movable) is not None:
        end = f"within {movable.tolerance:g} for {movable.dwell:g} s" if movable.tolerance else "as the instrument says"
        yield from (f"A move writes `{movable.setpoint}` and ends when `{movable.readback}` is there: {end}.", "")
    if (stop := scope.stop) is not None:
        yield from (f"A stop sends {code(stop.tell)}.", "")
    if (safe := scope.safe_state) is not None:
        proof = f", proved by `{safe.ask}` answered `{safe.safe}`" if safe.ask else ""
        yield from (f"Stop-all sends {', '.join(f'`{text}`' for text in safe.tell)}{proof}.", "")


def _signal(name: str, signal: Signal) -> tuple[str, ...]:
    told = signal.tell.values() if isinstance(signal.tell, dict) else filter(None, [signal.tell])
    wire = " ".join(f"`{text}`" for text in (signal.ask, *told) if text)
    limits = f"{signal.limits[0]:g} to {signal.limits[1]:g}" if isinstance(signal.limits, tuple) else ""
    kind = ", ".join(f"`{value}`" for value in signal.codes) if signal.type == "enum" else signal.type
    return (f"`{name}`", kind, wire, ", ".join(filter(None, (signal.units, limits))), signal.doc)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("rdaq-format", FormatTable)
    app.add_directive("rdaq-declared", InstrumentPage)
    return {"parallel_read_safe": True}
