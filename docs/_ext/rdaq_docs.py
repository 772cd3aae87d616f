"""Directives that take reference tables from the code itself, so that they cannot go stale."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Iterator
from dataclasses import fields

from _docstring import Docstring
from _generated import Generated, table
from _signals import SIGNAL_HEADER, declared
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from rdaq_ophyd.capabilities import PROTOCOLS
from rdaq_ophyd.cli import main
from rdaq_ophyd.operations import FAMILIES
from rdaq_ophyd.server import Limits

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


class SignalTable(Generated):
    """``{rdaq-signals} rdaq_ophyd.signals.Connection``: its declared signals."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """One row a signal, in the order of the class."""
        module, name = self.arguments[0].rsplit(".", 1)
        device = getattr(importlib.import_module(module), name)
        yield from table(SIGNAL_HEADER, (member.row() for member in declared(device)))


class CapabilityTable(Generated):
    """``{rdaq-capabilities}``: the vocabulary with what each word asks of a device."""

    def lines(self) -> Iterator[str]:
        """One row a capability."""
        yield from table(("capability", "protocol", "has", "meaning"), self._rows())

    @staticmethod
    def _rows() -> Iterator[tuple[str, ...]]:
        for name, protocol in PROTOCOLS.items():
            home = protocol.__module__.removesuffix("._private")
            members = ", ".join(f"`{m}`" for m in sorted(protocol.__protocol_attrs__))
            ours = Docstring.of(protocol).paragraphs[0] if home.startswith("rdaq") else "Bluesky's"
            yield (name.value, f"`{home}.{protocol.__name__}`", members, ours)


class MetricTable(Generated):
    """``{rdaq-metrics} rdaq_plans rdaq_runs``: the metrics whose names begin so."""

    required_arguments = 1
    final_argument_whitespace = True

    def lines(self) -> Iterator[str]:
        """One row a metric."""
        found = [family for family in FAMILIES if family.name.startswith(tuple(self.arguments[0].split()))]
        if not found:
            raise self.error(f"no metric begins with {self.arguments[0]}")
        rows = ((f"`{f.name}`", f.kind, ", ".join(f"`{label}`" for label in f.labels), f.help) for f in found)
        yield from table(("metric", "kind", "labels", "meaning"), rows)


class LimitTable(Generated):
    """``{rdaq-limits}``: what ``rdaq serve --limit`` takes."""

    def lines(self) -> Iterator[str]:
        """One row a limit."""
        told = {field.what: field.text for field in Docstring.of(Limits).named("param")}
        yield from table(
            ("limit", "usual", "of what"),
            ((f"`{each.name}`", f"{each.default:,}".replace(",", " "), told[each.name]) for each in fields(Limits)),
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("rdaq-help", CommandHelp)
    app.add_directive("rdaq-signals", SignalTable)
    app.add_directive("rdaq-capabilities", CapabilityTable)
    app.add_directive("rdaq-metrics", MetricTable)
    app.add_directive("rdaq-limits", LimitTable)
    return {"parallel_read_safe": True}
