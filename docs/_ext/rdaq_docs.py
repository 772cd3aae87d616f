"""Directives that take reference tables from the code itself, so that they cannot go stale."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Iterator
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from rdaq_ophyd.capabilities import PROTOCOLS
from rdaq_ophyd.cli import main
from rdaq_ophyd.signals import Ask, Do, Measure, Statistic, Tell

#: Width of help texts, characters.
COLUMNS = "100"


class CommandHelp(SphinxDirective):
    """``{rdaq-help} run knife_edge``: what ``rdaq run knife_edge --help`` prints."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Run the command's help and show it."""
        words = self.arguments[0].split() if self.arguments else []
        printed = io.StringIO()
        os.environ["COLUMNS"] = COLUMNS
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*words, "--help"])
        text = f"$ {' '.join(['rdaq', *words, '--help'])}\n{printed.getvalue()}"
        return [nodes.literal_block(text, text, language="text")]


class _Table(SphinxDirective):
    header: ClassVar[tuple[str, ...]]
    optional_arguments = 1

    def rows(self) -> Iterator[tuple[str, ...]]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        lines = ["```{list-table}", ":header-rows: 1", ""]
        for row in (self.header, *self.rows()):
            lines += [f"{'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row)]
        lines.append("```")
        node = nodes.container()
        self.state.nested_parse(StringList(lines, "rdaq_docs"), 0, node)
        return node.children


class SignalTable(_Table):
    """``{rdaq-signals} rdaq_ophyd.devices.esp300.Esp300Axis``: its declared signals and commands."""

    header = ("name", "type", "on the wire", "units, limits", "recorded as")
    required_arguments = 1
    optional_arguments = 0

    def rows(self) -> Iterator[tuple[str, ...]]:
        """One row a signal, in the order of the class."""
        module, name = self.arguments[0].rsplit(".", 1)
        device = getattr(importlib.import_module(module), name)
        hints = get_type_hints(device, include_extras=True)
        for signal, annotation in hints.items():
            spec = next((a for a in get_args(annotation) if isinstance(a, Ask | Tell | Measure | Do | Statistic)), None)
            if spec is not None:
                yield _row(signal, annotation, spec)


def _row(signal: str, annotation: Any, spec: Any) -> tuple[str, ...]:
    plain, *extras = get_args(annotation)
    kind = ", ".join(getattr(a, "__name__", str(a)) for a in get_args(plain)) if get_origin(plain) else "command"
    access = (get_origin(plain) or plain).__name__
    shown = f"`{access}[{kind}]`" if get_origin(plain) else f"`{access}`"
    formats = [e.name.replace("_SIGNAL", "").replace("_", " ").lower() for e in extras if hasattr(e, "name")]
    limits = f"{spec.limits[0]:g} to {spec.limits[1]:g}" if getattr(spec, "limits", None) else ""
    units = ", ".join(filter(None, (getattr(spec, "units", None), limits))).replace("%", r"\%")  # no comment
    return (f"`{signal}`", shown, _wire(spec), units, ", ".join(formats))


def _wire(spec: Any) -> str:
    match spec:
        case Ask():
            writes = spec.write.values() if isinstance(spec.write, dict) else filter(None, [spec.write])
            texts = " ".join(f"`{text}`" for text in (spec.read, *writes) if text)
            return texts + (", restored" if spec.restore else "")
        case Tell():
            return f"`{spec.command}`" + (", preempts" if spec.preempt else "")
        case Statistic():
            return "nothing"
        case _:
            return "several exchanges"


class CapabilityTable(_Table):
    """``{rdaq-capabilities}``: the vocabulary with what each word asks of a device."""

    header = ("capability", "protocol", "has", "meaning")

    def rows(self) -> Iterator[tuple[str, ...]]:
        """One row a capability."""
        for name, protocol in PROTOCOLS.items():
            home = protocol.__module__.removesuffix("._private")
            members = ", ".join(f"`{m}`" for m in sorted(protocol.__protocol_attrs__))
            ours = (protocol.__doc__ or "").split("\n\n")[0] if home.startswith("rdaq") else "Bluesky's"
            yield (name.value, f"`{home}.{protocol.__name__}`", members, " ".join(ours.split()))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("rdaq-help", CommandHelp)
    app.add_directive("rdaq-signals", SignalTable)
    app.add_directive("rdaq-capabilities", CapabilityTable)
    return {"parallel_read_safe": True}
