"""How the replies of a declared instrument are read, by what its file says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ophyd_async.core import StrictEnum

from rdaq_ophyd.declaration import Signal
from rdaq_ophyd.signals import parse_bool, parse_float, parse_int, parse_str

PARSERS: Mapping[str, Callable[[str], Any]] = {
    "float": parse_float,
    "int": parse_int,
    "bool": parse_bool,
    "str": parse_str,
}
TYPES: Mapping[str, type] = {"float": float, "int": int, "bool": bool, "str": str}


def datatype(name: str, signal: Signal) -> type:
    """The type of a signal; for an enum one of its own, whose members are the values of its codes."""
    if signal.type != "enum":
        return TYPES[signal.type]
    members = {_member(value): value for value in signal.codes}
    if len(members) != len(signal.codes):  # values that differ in blanks or case alone
        members = {f"{_member(value)}_{i}": value for i, value in enumerate(signal.codes)}
    make: Any = StrictEnum  # the functional form, which the type checker does not know
    made: type = make(_camel(name), members)
    return made


def _member(value: str) -> str:
    name = re.sub(r"\W", "_", value).upper()
    return name if name.isidentifier() and not name.startswith("_") else f"VALUE_{name}"


def _camel(name: str) -> str:
    return "".join(word.title() for word in name.split("_"))


def native(signal: Signal, kind: type, value: Any) -> Any:
    """A value as it stands in the file, as one of the signal's type."""
    if value is None:
        return None
    if signal.type == "bool" and isinstance(value, str):
        return value == "true"
    return kind(value)


def reader(signal: Signal, kind: type) -> Callable[[str], Any]:
    """The strict reading of a reply: its part, then its type."""
    cut, parse = _cutter(signal), _parser(signal, kind)
    return lambda reply: parse(cut(reply))


def _cutter(signal: Signal) -> Callable[[str], str]:
    if signal.pattern:
        compiled = re.compile(signal.pattern)

        def matched(reply: str) -> str:
            if (found := compiled.fullmatch(reply)) is None or found["value"] is None:
                raise ValueError(f"a reply like {signal.pattern}")
            return found["value"].strip()

        return matched
    if (number := signal.field) is not None:

        def split(reply: str) -> str:
            parts = reply.split(",")
            if len(parts) < number:
                raise ValueError(f"at least {number} parts with commas between")
            return parts[number - 1].strip()

        return split
    return str


def _parser(signal: Signal, kind: type) -> Callable[[str], Any]:
    if not signal.codes:
        return PARSERS[signal.type]
    values = {
        text: native(signal, kind, value)
        for value, texts in signal.codes.items()
        for text in ([texts] if isinstance(texts, str) else texts)
    }

    def look_up(text: str) -> Any:
        if text not in values:
            raise ValueError("one of " + ", ".join(values))
        return values[text]

    return look_up


def written(signal: Signal, kind: type) -> Mapping[Any, str] | None:
    """The text on the wire for each value; None where the value is formatted itself."""
    if not signal.codes:
        return None
    return {
        native(signal, kind, value): texts if isinstance(texts, str) else texts[0]
        for value, texts in signal.codes.items()
    }


def expected(pattern: str) -> Callable[[str], str]:
    """A reader that takes replies like ``pattern`` alone.

    :raises ValueError: (the reader) it is another one.
    """
    compiled = re.compile(pattern)

    def read(reply: str) -> str:
        if compiled.fullmatch(reply) is None:
            raise ValueError(f"a reply like {pattern}")
        return reply

    return read
