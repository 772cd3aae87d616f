"""The same files under two names: as a rig sees them, and as the server does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from rdaq_ophyd.document_lines import Document


@dataclass(frozen=True)
class PathMap:
    """Folders here, and where the server sees each. A file outside all of them keeps its name.

    :param folders: pairs (here, there), the deepest first.
    """

    folders: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()

    @classmethod
    def of(cls, folders: Mapping[str, str]) -> PathMap:
        """From folder here -> folder there.

        :raises ValueError: one of them is relative.
        """
        pairs = [(PurePosixPath(here), PurePosixPath(there)) for here, there in folders.items()]
        for path in (path for pair in pairs for path in pair):
            if not path.is_absolute() or ".." in path.parts:
                raise ValueError(f"paths: {str(path)!r} is no absolute path")
        return cls(tuple(sorted(pairs, key=lambda pair: -len(pair[0].parts))))

    def there(self, path: PurePosixPath | Path) -> PurePosixPath:
        """How the server names a file of this rig."""
        path = PurePosixPath(path)
        for here, there in self.folders:
            if path.is_relative_to(here):
                return there / path.relative_to(here)
        return path

    def uri(self, uri: str) -> str:
        """The same for a ``file:`` URI; any other is left as it is."""
        parts = urlsplit(uri)
        if parts.scheme != "file" or not self.folders:
            return uri
        path = PurePosixPath(unquote(parts.path))
        mapped = self.there(path)
        if mapped == path:
            return uri
        tail = "/" if parts.path.endswith("/") else ""
        return parts._replace(path=quote(str(mapped)) + tail).geturl()

    def resource(self, document: Document) -> Document:
        """A stream resource as the server needs it."""
        return {**document, "uri": self.uri(document["uri"])}
