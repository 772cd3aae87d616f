"""Docstrings, cut into what they tell and their fields."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

from sphinx.pycode import ModuleAnalyzer

_FIELD = re.compile(r"^:(\w+)(?: ([^:]+))?:(?: |$)(.*)$")
_ROLE = re.compile(r":\w+:`~?(?:\w+\.)*(\w+)`")


class Field(NamedTuple):
    """Such as ``:raises LimitError: a target is outside its limits.``."""

    kind: str
    what: str
    text: str


class Docstring(NamedTuple):
    """Paragraphs of plain MyST, and the fields in their order."""

    paragraphs: list[str]
    fields: list[Field]

    @classmethod
    def parse(cls, text: str) -> Docstring:
        """Cut the text of a docstring."""
        paragraphs: list[list[str]] = [[]]
        fields: list[Field] = []
        for line in inspect.cleandoc(_ROLE.sub(r"`\1`", text)).splitlines():
            if match := _FIELD.match(line):
                fields.append(Field(match[1], match[2] or "", match[3]))
            elif fields and line.startswith(" "):
                fields[-1] = fields[-1]._replace(text=f"{fields[-1].text} {line.strip()}")
            elif line.strip():
                paragraphs[-1].append(line)
            elif paragraphs[-1]:
                paragraphs.append([])
        return cls([" ".join(lines) for lines in paragraphs if lines], fields)

    @classmethod
    def of(cls, member: Any) -> Docstring:
        """That of a class, a function or a module; of a method that has none, the inherited one."""
        return cls.parse(inspect.getdoc(member) or "")

    @property
    def text(self) -> str:
        """All of it in one paragraph."""
        return " ".join(self.paragraphs)

    def named(self, kind: str) -> list[Field]:
        """The fields of one kind."""
        return [field for field in self.fields if field.kind == kind]


def attribute(cls: type, name: str) -> Docstring:
    """The docstring below an attribute of a class, or of the class that it has it from."""
    for base in cls.__mro__:
        if base.__module__.startswith("rdaq_ophyd"):
            found = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
            if lines := found.get((base.__qualname__, name)):
                return Docstring.parse("\n".join(lines))
    return Docstring([], [])
