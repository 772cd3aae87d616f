"""The page of a driver, from its module: what it is for, its link, its signals, how it is stopped, what it raises."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import ophyd_async.core
from _docstring import Docstring, Field, attribute
from _generated import Generated, code, table
from _signals import COMMAND_HEADER, SIGNAL_HEADER, declared, remember
from docutils.parsers.rst import directives
from ophyd_async.core import Device
from sphinx.application import Sphinx

from rdaq_ophyd import declaration, devices
from rdaq_ophyd.capabilities import describe
from rdaq_ophyd.link import Line
from rdaq_ophyd.signals import LinkDevice
from rdaq_ophyd.stop import SafeState

CONNECTING = ("handshake", "identity", "after_connect", "after_reconnect")
"""Hooks of a driver, in the order in which they run."""
PUBLIC = {
    "move": "set",
    "check_move": "set",
    "check_value": "set",
    "calculate_timeout": "set",
    "on_prepare": "prepare",
    "on_kickoff": "kickoff",
    "on_complete": "complete",
    **dict.fromkeys(("raise_errors", "targets", "_move"), "set"),
    **dict.fromkeys(("check_write", "tell_checked"), "each setting"),
    **dict.fromkeys((*CONNECTING, "identify", "take_unit", "take_profile"), "connect"),
}
"""What a person calls, by the method that then raises."""

LINKED = """\
Of every signal and command: `LimitError` for a number that is not finite or outside its limits, before a byte is sent;
`StopLatched` while everything is stopped; `ReplyTimeout`, `BadReply` and the errors of ports. All are among the
[errors](../errors.md)."""
CONNECTION = """\
State and statistics of the link are signals too: [`connection`](../api/signals.md). When the port
[vanishes and comes back](../../how-to/when-a-port-vanishes.md), the instrument has to be the same."""


class Driver:
    """What a module with a driver says of itself.

    :param name: of the module, ``rdaq_ophyd.devices.esp300``.
    """

    def __init__(self, name: str) -> None:
        self.module: ModuleType = importlib.import_module(name)
        doc = Docstring.of(self.module)
        head, *self.paragraphs = doc.paragraphs
        self.title, _, summary = head.partition(": ")
        self.summary = summary[:1].upper() + summary[1:]
        public = (getattr(self.module, name) for name in self.module.__all__)
        self.classes: list[type] = [c for c in public if isinstance(c, type) and issubclass(c, Device)]

    def said(self, label: str) -> str:
        """The paragraph of the module's docstring that begins with ``label:``.

        :raises ValueError: there is none.
        """
        for paragraph in self.paragraphs:
            if paragraph.startswith(f"{label}: "):
                return paragraph.removeprefix(f"{label}: ")
        raise ValueError(f"{self.module.__name__}: its docstring has no paragraph '{label}: …'")


class Page:
    """The generated parts of a page.

    :param driver: the module.
    :param example: an expression that makes the device, in the names of the module and of ophyd-async; or a list of
        them, where several devices are needed to show all classes.
    """

    def __init__(self, driver: Driver, example: str) -> None:
        self.driver, self.example = driver, example
        known = {**vars(ophyd_async.core), **vars(driver.module)}
        body = ast.parse(example, mode="eval").body
        made = [ast.unparse(part) for part in body.elts] if isinstance(body, ast.List) else [example]
        self.made: dict[str, Device] = {text: eval(text, known) for text in made}
        self.device = next(iter(self.made.values()))
        self.found = {type(part): part for one in reversed(self.made.values()) for part in reversed(list(_whole(one)))}

    def head(self) -> Iterator[str]:
        """Title, summary, sources, and how one is made."""
        said = self.driver.said
        yield from (f"# {self.driver.title}", "", self.driver.summary, "")
        others = [p for p in self.driver.paragraphs if not p.startswith(("Manual: ", "Run against: "))]
        for paragraph in others:
            yield from (paragraph, "")
        yield from (f"**Manual:** {said('Manual')}", "", f"**Run against:** {said('Run against')}", "")
        names = {node.id for node in ast.walk(ast.parse(self.example)) if isinstance(node, ast.Name)}
        foreign = sorted(name for name in names if not hasattr(self.driver.module, name))
        ours = ", ".join(sorted(names.difference(foreign)))
        yield "```python"
        if foreign:
            yield from (f"from ophyd_async.core import {', '.join(foreign)}", "")
        yield from (f"from {self.driver.module.__name__} import {ours}", "")
        yield from (f"{device.name} = {text}" for text, device in self.made.items())
        yield from ("```", "")

    def tail(self) -> Iterator[str]:
        """The reference."""
        if isinstance(self.device, LinkDevice):
            yield from self.link(self.device)
        for cls in self.driver.classes:
            if cls not in self.found:
                raise ValueError(f"{self.driver.module.__name__}: the example has no {cls.__name__}")
            yield from self.section(cls, self.found[cls])
        yield from ("## Errors", "")
        yield from table(("raised", "by", "when"), self.errors())
        if isinstance(self.device, LinkDevice):
            yield from (LINKED, "")

    def link(self, device: LinkDevice) -> Iterator[str]:
        """Settings of the port."""
        protocol, serial = device.protocol, device.protocol.serial
        flow = ", ".join(n for n in ("rtscts", "xonxoff") if getattr(serial, n)) or "no flow control"
        reply = protocol.framing(device.channel.text(device.heartbeat or device.feed))
        end = (
            f"replies end with {code(repr(reply.end))}" if isinstance(reply, Line) else "a reply is told by its command"
        )
        yield from ("## Link", "")
        yield f"- serial: {serial.baudrate} baud, {serial.bytesize}{serial.parity}{serial.stopbits:g}, {flow}"
        yield f"- commands end with {code(repr(protocol.command_end))}; {end}"
        yield f"- time-out {protocol.timeout:g} s; text is {protocol.encoding}"
        if device.write_check:
            yield f"- asked in one piece with each setting: {code(device.write_check)}"
        if device.heartbeat:
            yield f"- asked when idle for {device.heartbeat_period:g} s: {code(device.heartbeat)}"
        if device.feed:
            yield f"- asked every {device.feed_period:g} s by the event loop alone: {code(device.feed)}"
        yield from ("", attribute(type(device), "protocol").text, "", CONNECTION, "")

    def section(self, cls: type, device: Device) -> Iterator[str]:
        """One class."""
        doc = Docstring.of(cls)
        yield from (f"## {cls.__name__}", "")
        for paragraph in doc.paragraphs:
            yield from (paragraph, "")
        yield from table(("parameter", "meaning"), ((code(f.what), f.text) for f in doc.named("param")))
        for hook in CONNECTING:
            if (method := _own(cls, hook)) is not None:
                yield f"- {code(hook)}: {Docstring.of(method).text}"
        yield from (f"- capabilities: {describe(device)}", "")
        members = list(declared(cls))
        yield from table(SIGNAL_HEADER, (m.row() for m in members if not m.is_command))
        yield from table(COMMAND_HEADER, (m.row() for m in members if m.is_command))
        alarms = [(m.name, field) for m in members for field in m.doc.named("alarm")]
        yield from table(("alarm of", "severity", "when"), ((code(n), f.what, f.text) for n, f in alarms))
        restored = ", ".join(code(m.name) for m in members if getattr(m.spec, "restore", False))
        if restored:
            yield f"Written again when the link comes back and the instrument lost them: {restored}. Nothing else."
            yield ""
        yield from self.stopping(cls, device)

    def stopping(self, cls: type, device: Device) -> Iterator[str]:
        """What a stop does, and what makes it safe."""
        if (method := _own(cls, "stop")) is not None:
            yield from (f"**Stop:** {Docstring.of(method).text}", "")
        states = device.safe_states() if isinstance(device, LinkDevice) else ()
        header = ("made safe by stop-all and the watchdog", "sent", "proved by", "within", "else")
        yield from table(header, (_safe_state(state) for state in states))

    def errors(self) -> Iterator[tuple[str, ...]]:
        """Each error with what raises it, in the order of their names."""
        rows: dict[tuple[str, str], list[str]] = {}
        for cls in self.driver.classes:
            for caller, field in _raised(cls, self.found[cls]):
                callers = rows.setdefault((field.what, field.text), [])
                if caller not in callers:
                    callers.append(caller)
        for (error, text), callers in sorted(rows.items(), key=lambda row: row[0][0]):
            yield (code(error), ", ".join(map(code, callers)), text)


def _whole(device: Device) -> Iterator[Device]:
    yield device
    for _, child in device.children():
        yield from _whole(child)


def _own(cls: type, name: str) -> Any:
    """A method, where one of our drivers has it and not only their base."""
    return next((vars(base)[name] for base in _ours(cls) if name in vars(base)), None)


def _raised(cls: type, device: Device) -> Iterator[tuple[str, Field]]:
    """Callers and the fields of what they raise: of the class, its signals, and the logics behind its verbs."""
    members = list(declared(cls))
    served = {method: member.name for member in members for method in member.methods}
    for field in Docstring.of(cls).named("raises"):
        yield "constructor", field
    for member in members:
        for field in member.doc.named("raises"):
            yield member.name, field
    for base in _ours(cls):
        for name in vars(base):
            caller = served.get(name) or PUBLIC.get(name) or name
            if not caller.startswith("_"):
                yield from _fields(base, name, caller)
    for logic in (getattr(device, name, None) for name in ("movable_logic", "flyable_logic")):
        for base in _ours(type(logic)):
            for name, caller in PUBLIC.items():
                yield from _fields(base, name, caller)


def _ours(cls: type) -> list[type]:
    """A class and its bases, as far as they belong to drivers."""
    ours = ("rdaq_ophyd.devices", "rdaq_ophyd.frames", "rdaq_ophyd.streams")
    return [base for base in cls.__mro__ if base.__module__.startswith(ours)]


def _fields(base: type, name: str, caller: str) -> Iterator[tuple[str, Field]]:
    method = vars(base).get(name)
    if doc := getattr(method, "__doc__", None):
        for field in Docstring.parse(doc).named("raises"):
            yield caller, field


def _safe_state(state: SafeState) -> tuple[str, ...]:
    text = lambda data: code(repr(data.decode("latin-1")))  # noqa: E731
    question = f"{text(state.question)} answered {code(state.safe)}" if state.question else "nothing"
    agree = f", {state.agree} times in a row" if state.agree > 1 else ""
    means = ", preempts" if state.preempt else ", after the exchange in flight"
    order = ", before what moves" if state.first else ""
    stronger = [
        f"{name}: {text(data)}" for name, data in (("abort", state.abort), ("power off", state.power_off)) if data
    ]
    return (
        code(state.device),
        text(state.halt) + means + order,
        question + agree,
        f"{state.seconds:.2g} s",
        "; ".join(stronger),
    )


class DevicePage(Generated):
    """``{rdaq-device} rdaq_ophyd.devices.ell14``: the page of a driver; its content is what the driver cannot say."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"example": directives.unchanged_required}

    def lines(self) -> Iterator[str]:
        """Title and example, the content, the reference."""
        page = Page(Driver(self.arguments[0]), self.options["example"])
        for cls in page.driver.classes:
            for base in cls.__mro__:
                if base.__module__.startswith("rdaq_ophyd"):
                    self.env.note_dependency(inspect.getfile(base))
        yield from page.head()
        yield from self.content
        yield ""
        yield from page.tail()


class DeviceIndex(Generated):
    """``{rdaq-devices}``: all pages beside this one, by what their drivers and files say."""

    def lines(self) -> Iterator[str]:
        """One row a page."""
        folder = Path(self.env.doc2path(self.env.docname)).parent
        pages = sorted(page.stem for page in folder.glob("*.md") if page.stem != "index")
        yield from table(("instrument", "class", "run against"), map(self._row, pages))

    @staticmethod
    def _row(stem: str) -> tuple[str, ...]:
        if stem in declaration.shipped():
            instrument = declaration.load(stem).instrument
            title = f"{instrument.manufacturer} {instrument.model}"
            return (f"[{title}]({stem}.md)", code(f'declared("{stem}")'), instrument.run_against)
        driver = Driver(f"rdaq_ophyd.devices.{stem}")
        classes = ", ".join(code(cls.__name__) for cls in driver.classes)
        return (f"[{driver.title}]({stem}.md)", classes, driver.said("Run against").rstrip("."))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    for module in pkgutil.iter_modules(devices.__path__, f"{devices.__name__}."):
        if not module.name.rpartition(".")[2].startswith("_"):
            for cls in Driver(module.name).classes:
                remember(cls)
    app.add_directive("rdaq-device", DevicePage)
    app.add_directive("rdaq-devices", DeviceIndex)
    return {"parallel_read_safe": True}
