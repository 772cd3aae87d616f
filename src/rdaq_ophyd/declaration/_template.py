"""Texts with places in braces, as in Python's ``str.format``, but with nothing behind a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any, NamedTuple

from ._expression import Expression

_NAME = re.compile(r"[A-Za-z_]\w*")


class TemplateError(ValueError):
    """The text has a place that cannot be filled."""


class Place(NamedTuple):
    """A text, and the place behind it."""

    before: str
    name: str | None
    format: str


def places(text: str) -> list[Place]:
    """The parts of a template.

    :raises TemplateError: a brace without its partner, a conversion, or a place within a place.
    """
    try:
        found = [Place(before, name, spec or "") for before, name, spec, _ in _parsed(text)]
    except ValueError as error:
        raise TemplateError(f"{text!r}: {error}; a brace as such is written twice") from error
    for place in found:
        if "{" in place.format or "}" in place.format:
            raise TemplateError(f"{text!r}: a format may not have places of its own")
    return found


def _parsed(text: str) -> Iterator[tuple[str, str | None, str | None, str | None]]:
    for part in Formatter().parse(text):
        if part[3]:
            raise ValueError(f"'!{part[3]}' is not understood")
        yield part


def names(text: str) -> list[str]:
    """The names in a template of a command, in order.

    :raises TemplateError: one of them is no plain name.
    """
    found = [place.name for place in places(text) if place.name is not None]
    for name in found:
        if not _NAME.fullmatch(name):
            raise TemplateError(f"{text!r}: {{{name}}} is no name")
    return found


def check_template(text: str, samples: Mapping[str, Any]) -> None:
    """Make sure that ``text`` can be filled with values like ``samples``, and with nothing else.

    :raises TemplateError: an unknown name, or a format that its type does not have.
    """
    for place in places(text):
        if place.name is None:
            continue
        if not _NAME.fullmatch(place.name) or place.name not in samples:
            known = ", ".join("{" + name + "}" for name in samples) or "nothing"
            raise TemplateError(f"{text!r}: {{{place.name}}} is unknown; known here: {known}")
        try:
            format(samples[place.name], place.format)
        except ValueError as error:
            raise TemplateError(f"{text!r}: {{{place.name}:{place.format}}}: {error}") from error


class Answer:
    """A template whose places are expressions: ``{voltage * 2:.3f},{'ON' if output else 'OFF'}``.

    :raises TemplateError: it is no template.
    :raises ExpressionError: what stands in a place is no expression.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = [
            (place.before, None if place.name is None else Expression(place.name), place.format)
            for place in places(text)
        ]
        self.names = frozenset(name for _, expression, _ in self._parts if expression for name in expression.names)

    def __call__(self, values: Mapping[str, Any]) -> str:
        """The text, filled.

        :raises ExpressionError: an expression has no value.
        :raises TemplateError: a value does not have that format.
        """
        filled = []
        for before, expression, spec in self._parts:
            filled.append(before)
            if expression is not None:
                value = expression(values)
                try:
                    filled.append(format(value, spec))
                except (ValueError, TypeError) as error:
                    raise TemplateError(f"{self.text!r}: {value!r} as {spec!r}: {error}") from error
        return "".join(filled)
