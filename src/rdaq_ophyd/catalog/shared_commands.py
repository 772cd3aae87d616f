"""``rdaq catalog check`` and ``rdaq catalog move``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rdaq_ophyd.errors import CatalogError

from ._layout import DataLayout
from ._shared import FILE, SharedCatalog, read_shared
from ._told import one_line

__all__ = ["check", "move"]


def check(layout: DataLayout, config: str | None) -> int:
    """Try everything that this rig does with its shared catalog, and say what came of it; the exit code.

    :param config: a ``catalog.toml`` that is not in the data directory yet.
    :return: 1 when something is not as it should be.
    :raises CatalogError: there is no ``catalog.toml``, or it is wrong.
    """
    from ._check import check as try_all

    shared = _shared(layout, config)
    layout.prepare()
    wrong = 0
    with _in_words(shared):
        for finding in try_all(layout, shared):
            _out(str(finding))
            wrong += finding.kind == "failed"
    _out(f"{wrong} to mend" if wrong else f"{shared.uri} is fit for this rig")
    return int(wrong > 0)


def move(layout: DataLayout, config: str | None, *, every_frame: bool) -> int:
    """Take the rig's own catalog over into the shared one, and say what was done; the exit code.

    :param config: ``catalog.toml`` of the shared one; put into the data directory when all is there.
    :param every_frame: compare all frames.
    :return: 1 when something is left to be seen to.
    :raises CatalogError: as :func:`rdaq_ophyd.catalog._move.move`.
    """
    from ._move import move as take_over

    shared = _shared(layout, config)
    wrong = 0
    with _in_words(shared):
        for line in take_over(layout, shared, every_frame=every_frame):
            _out(str(line))
            wrong += line.kind != "changed"
    return int(wrong > 0)


@contextmanager
def _in_words(shared: SharedCatalog) -> Iterator[None]:
    """A server that goes away in between is no error of ours."""
    import httpx

    try:
        yield
    except httpx.HTTPError as error:
        raise CatalogError(
            f"{shared.uri} went away in between: {one_line(error) or type(error).__name__}",
            hint="once it is back, the same command goes on",
        ) from error


def _shared(layout: DataLayout, config: str | None) -> SharedCatalog:
    path = Path(config) if config else layout.root / FILE
    if not config and not path.exists():
        raise CatalogError(
            f"the data directory {str(layout.root)!r} has a catalog of its own (there is no {FILE} in it)",
            hint="name the file of the shared one: --config FILE; one to start from: profiles/scaled/catalog.toml",
        )
    return read_shared(path)


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
