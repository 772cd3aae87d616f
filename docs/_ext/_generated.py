"""What our directives have in common: they make lines of MyST, which are read as if they stood in the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


class Generated(SphinxDirective):
    """A directive whose lines may have headings of their own."""

    def lines(self) -> Iterator[str]:
        """The lines of MyST."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Have them read."""
        node = nodes.container()
        node.document = self.state.document
        self.state.nested_parse(StringList(list(self.lines()), type(self).__name__), 0, node, match_titles=True)
        return node.children


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table without the columns in which nothing stands; nothing where there are no rows."""
    rows = list(rows)
    if not rows:
        return
    used = [any(row[i] for row in rows) for i in range(len(header))]
    yield from ("```{list-table}", ":header-rows: 1", "")
    for row in (tuple(compress(cells, used)) for cells in (header, *rows)):
        yield from (f"{'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row))
    yield from ("```", "")


def code(text: object) -> str:
    """A piece of code, in as many backticks as it needs."""
    return f"``{text}``" if "`" not in str(text) else f"``` {text} ```"
