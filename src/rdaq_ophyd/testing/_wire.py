"""What the instrument heard, told apart: questions, and commands that are not safe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from string import Formatter
from typing import Any

from ophyd_async.core import Device

from rdaq_ophyd.signals import Ask
from rdaq_ophyd.sim import Port

from ._members import Setting, link_devices, orders, safe_states, setpoints, settings

ANY = r"[^\r\n?]+?"
"""A value on the wire; with a question mark it would be a question."""


class Wire:
    """The byte log of a served instrument, as the commands of one device.

    :param port: where the instrument is served.
    :param device: whose commands they are.
    :param hazards: regular expressions of more commands that move, open or emit.
    """

    def __init__(self, port: Port, device: Device, hazards: Iterable[str]) -> None:
        self._port, self._device = port, device
        self._end = next(iter(link_devices(device).values())).protocol.command_end
        extra = [re.compile(text) for text in hazards]
        told = [(setting, setting.ask) for setting in settings(device) if setting.ask is not None]
        self._kept = [_Command(setting, ask) for setting, ask in told if ask.restore]
        told += [(setting, setting.ask) for setting in setpoints(device) if setting.ask is not None]
        self._hazards = [
            *(_Command(setting, ask) for setting, ask in told if not ask.restore),
            *(_Text(order.owner.channel.fields, order.tell.command) for order in orders(device) if _is_hazard(order)),
            *map(_Pattern, extra),
        ]

    def mark(self) -> int:
        """The place in the log now."""
        return len(self._heard())

    def since(self, mark: int) -> bytes:
        """What was heard after ``mark``."""
        return self._heard()[mark:]

    def _heard(self) -> bytes:
        """All that has come to the port until now, also where its thread has not had a turn since."""
        self._port.call(lambda _now: None)
        return self._port.log.bytes()

    def lines(self, mark: int) -> list[str]:
        """The commands heard after ``mark``; all in one where the instrument's commands have no end mark."""
        text = self.since(mark).decode("latin-1")
        return [line for line in text.split(self._end) if line] if self._end else [text]

    def unsafe(self, mark: int) -> list[str]:
        """Commands after ``mark`` that are not allowed while everything is stopped."""
        return list(self._found(mark, [*self._hazards, *self._kept]))

    def hazards(self, mark: int) -> list[str]:
        """Commands after ``mark`` that nobody may repeat by himself: all but settings that may be restored."""
        return list(self._found(mark, self._hazards))

    def writes(self, mark: int, setting: Setting) -> list[str]:
        """Commands after ``mark`` that write ``setting``; where a method writes it, all that are not safe."""
        if setting.ask is None:
            return self.unsafe(mark)
        return list(self._found(mark, [_Command(setting, setting.ask, safe_too=True)]))

    def _found(self, mark: int, commands: Iterable[_Pattern]) -> Iterator[str]:
        commands, stops = list(commands), self._stops()
        for line in self.lines(mark):
            found = (text for command in commands for text in command.find(line, whole=bool(self._end)))
            yield from (text for text in found if text.strip() not in stops)

    def _stops(self) -> set[str]:
        """What is declared to make the device safe, also where a setting would be written with the same command."""
        texts = [part for state in safe_states(self._device) for part in (state.halt, state.abort, state.power_off)]
        lines = b"\n".join(texts).decode("latin-1").replace(self._end or "\n", "\n").split("\n")
        told = [order for order in orders(self._device) if order.plain and not _is_hazard(order)]
        return {line.strip() for line in lines} | {o.owner.channel.text(o.tell.command).strip() for o in told}


class _Pattern:
    """One kind of command."""

    def __init__(self, pattern: re.Pattern[str], harmless: Iterable[str] = ()) -> None:
        self._pattern, self._harmless = pattern, set(harmless)

    def find(self, text: str, *, whole: bool) -> list[str]:
        """Where it is in a text; ``whole``: only if it is all of it."""
        if whole:
            found = [text] if self._pattern.fullmatch(text.strip()) else []
        else:
            found = [match[0] for match in self._pattern.finditer(text)]
        return [command for command in found if command.strip() not in self._harmless]


class _Text(_Pattern):
    """A command by its template."""

    def __init__(self, fields: Mapping[str, Any], *templates: str, harmless: Iterable[str] = ()) -> None:
        super().__init__(re.compile("|".join(_pattern(template, fields) for template in templates)), harmless)


class _Command(_Text):
    """The command that writes a setting; without ``safe_too``, with those values that are not safe."""

    def __init__(self, setting: Setting, ask: Ask, *, safe_too: bool = False) -> None:
        fields = setting.owner.channel.fields
        templates = list(ask.write.values()) if isinstance(ask.write, Mapping) else [ask.write]
        safe = (
            [] if safe_too else [_spoken(setting, ask, value) for value in _values(setting, ask) if ask.is_safe(value)]
        )
        nothing = not safe_too and ask.safe is True
        super().__init__(fields, *([] if nothing else templates), harmless=safe)


def _values(setting: Setting, ask: Ask) -> Iterable[Any]:
    """The values of a setting that are declared one by one."""
    if isinstance(ask.write, Mapping):
        return ask.write
    declared = [] if isinstance(ask.safe, bool) else list(ask.safe)
    datatype = setting.backend.datatype
    members = list(datatype) if isinstance(datatype, type) and issubclass(datatype, Enum) else []
    return [*declared, *members]


def _spoken(setting: Setting, ask: Ask, value: Any) -> str:
    template = ask.write[value] if isinstance(ask.write, Mapping) else ask.write
    code = value if ask.codes is None else ask.codes[value]
    return setting.owner.channel.text(template, value=code)


def _pattern(template: str, fields: Mapping[str, Any]) -> str:
    found = []
    for literal, field, spec, _ in Formatter().parse(template):
        found.append(re.escape(literal))
        if field is not None:
            found.append(re.escape(format(fields[field], spec or "")) if field in fields else ANY)
    return "".join(found)


def _is_hazard(order: Any) -> bool:
    return not (order.tell.safe or order.tell.preempt or order.answered)
