"""Signals and commands of a device class, as rows of tables."""

from __future__ import annotations

from collections.abc import Iterator
from enum import EnumMeta
from typing import Any, NamedTuple, get_args, get_origin

from _docstring import Docstring, attribute
from _generated import code
from ophyd_async.core import Command, Device, Signal
from ophyd_async.core._utils import cached_get_type_hints

from rdaq_ophyd.signals import Ask, Do, Measure, Statistic, Tell

SIGNAL_HEADER = ("name", "type", "on the wire", "units, limits, values", "recorded as", "meaning")
COMMAND_HEADER = ("name", "type", "on the wire", "meaning")


class Declared(NamedTuple):
    """One of them.

    :param spec: its ``Ask``, ``Measure``, ``Tell``, ``Do`` or ``Statistic``; None where an SDK serves it.
    """

    name: str
    kind: Any
    spec: Any
    formats: tuple[str, ...]
    doc: Docstring

    @property
    def is_command(self) -> bool:
        """Else it is a signal."""
        return issubclass(get_origin(self.kind) or self.kind, Command)

    @property
    def methods(self) -> list[str]:
        """Of the device, which serve it."""
        names = (getattr(self.spec, "method", ""), getattr(self.spec, "write", ""))
        return [name for name in names if isinstance(name, str) and name.isidentifier()]

    @property
    def shown_type(self) -> str:
        """As it is declared, without modules."""
        origin, args = get_origin(self.kind), get_args(self.kind)
        if origin is None:
            return code(self.kind.__name__)
        return code(f"{origin.__name__}[{', '.join(map(_name, args))}]")

    def row(self) -> tuple[str, ...]:
        """For the table of signals, or that of commands."""
        if self.is_command:
            return (code(self.name), self.shown_type, self._wire(), self.doc.text)
        limits = getattr(self.spec, "limits", None)
        values = [code(member.value) for kind in get_args(self.kind) if isinstance(kind, EnumMeta) for member in kind]
        words = (getattr(self.spec, "units", None), f"{limits[0]:g} to {limits[1]:g}" if limits else "", *values)
        units = ", ".join(filter(None, words)).replace("%", r"\%")  # no comment
        return (code(self.name), self.shown_type, self._wire(), units, ", ".join(self.formats), self.doc.text)

    def _wire(self) -> str:
        match self.spec:
            case Ask():
                writes = self.spec.write.values() if isinstance(self.spec.write, dict) else [self.spec.write]
                texts = " ".join(code(text) for text in (self.spec.read, *writes) if text)
                return texts + (", restored" if self.spec.restore else "")
            case Tell():
                return code(self.spec.command) + (", preempts" if self.spec.preempt else "")
            case Statistic() | None:
                return ""
            case _:
                return "several exchanges"


def _name(kind: Any) -> str:
    if isinstance(kind, list | tuple):
        return f"[{', '.join(map(_name, kind))}]"
    return getattr(kind, "__name__", str(kind))


def declared(cls: type, prefix: str = "") -> Iterator[Declared]:
    """All of a class, those of its bases first; of parts that are declared with it too."""
    for name, annotation in cached_get_type_hints(cls, include_extras=True).items():
        plain, *extras = get_args(annotation) if hasattr(annotation, "__metadata__") else (annotation,)
        kind = get_origin(plain) or plain
        if not isinstance(kind, type):
            continue
        if issubclass(kind, Signal | Command):
            spec = next((e for e in extras if isinstance(e, Ask | Tell | Measure | Do | Statistic)), None)
            formats = [e.name.replace("_SIGNAL", "").replace("_", " ").lower() for e in extras if hasattr(e, "name")]
            yield Declared(f"{prefix}{name}", plain, spec, tuple(formats), attribute(cls, name))
        elif issubclass(kind, Device):
            yield from declared(kind, f"{prefix}{name}.")


def remember(cls: type) -> None:
    """Have its annotations looked at now: autodoc adds those of instance attributes to a class that it documents."""
    cached_get_type_hints(cls)
    for _ in declared(cls):
        pass
