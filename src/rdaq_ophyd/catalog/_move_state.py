"""How far a move into the shared catalog has come, on disk: a move that was interrupted goes on from there."""

from __future__ import annotations

from pathlib import Path

from rdaq_ophyd.errors import CatalogError

from ._files import read_json, write_json
from ._layout import DataLayout

VERSION = 1


class MoveState:
    """Runs that are in the shared catalog and were compared.

    :param layout: the data directory.
    :param uri: of the shared catalog.
    :raises CatalogError: a move to another one was begun.
    """

    def __init__(self, layout: DataLayout, uri: str) -> None:
        self.path: Path = layout.catalog / "move.json"
        self.uri = uri
        noted = read_json(self.path) or {}
        if noted and (noted.get("version") != VERSION or noted.get("uri") != uri):
            raise CatalogError(
                f"a move to {noted.get('uri')} was begun (noted in {str(self.path)!r})",
                hint="finish that one, or remove the file if it was given up: then all runs are moved anew",
            )
        self.moved: set[str] = set(noted.get("moved", ()))

    def note(self, uid: str) -> None:
        """A run is there, whole and the same."""
        self.moved.add(uid)
        write_json(self.path, {"version": VERSION, "uri": self.uri, "moved": sorted(self.moved)})

    def finish(self, into: Path) -> None:
        """Keep the note as a record of the move."""
        if self.path.exists():
            self.path.replace(into)
