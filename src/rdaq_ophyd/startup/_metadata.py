"""The RunEngine's metadata, kept in one JSON file of the data directory.

bluesky's own ``PersistentDict`` writes its whole memory back when the process ends, so that of two sessions of one data
directory the one that ends last undoes what the other has recorded; this one changes one item of the file at a time.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import orjson

from rdaq_ophyd.errors import RdaqError

from ._kept import replace_file, told_in_words

__all__ = ["Metadata"]

FORMAT = 1


class Metadata(MutableMapping[str, Any]):
    """A mapping whose items survive the session.

    :param path: the file; made when the first item is set. It bears a format version.
    :raises RdaqError: when the file cannot be understood.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._items = self._load()

    def _load(self) -> dict[str, Any]:
        try:
            data = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except orjson.JSONDecodeError as error:
            raise RdaqError(f"{self._path}: not a file of metadata: {error}", hint="mend or remove it") from error
        version = data.get("version") if isinstance(data, dict) else None
        if version != FORMAT:
            raise RdaqError(f"{self._path}: format {version}, this program knows {FORMAT}", hint="remove or mend it")
        items: dict[str, Any] = data["metadata"]
        return items

    def _change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change one item of what the file holds now: another session may have set others since it was read."""
        with told_in_words(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._change_locked(change)

    def _change_locked(self, change: Callable[[dict[str, Any]], object]) -> None:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            items = self._load()
            change(items)
            self._save(items)

    def _save(self, items: dict[str, Any]) -> None:
        text = orjson.dumps(
            {"version": FORMAT, "metadata": items}, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2
        )
        replace_file(self._path, text)
        self._items = items

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Set an item and write it to the file.

        :raises TypeError: when the value cannot be written as JSON; nothing is changed then.
        :raises DataDirectoryError: when the file cannot be written; nothing is changed then.
        """
        self._change(lambda items: items.__setitem__(key, value))

    def __delitem__(self, key: str) -> None:
        self._change(lambda items: items.__delitem__(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Metadata({self._items!r})"
