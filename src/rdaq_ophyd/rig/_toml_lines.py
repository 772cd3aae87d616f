"""On which line of a TOML file a value stands; the standard library's parser does not keep it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

type Key = tuple[str | int, ...]
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")


class Lines:
    """The lines of a file's tables and keys.

    :param text: TOML that was parsed without an error.
    """

    def __init__(self, text: str) -> None:
        self._known: dict[Key, int] = {}
        table: Key = ()
        for number, statement in _statements(text):
            if statement.lstrip().startswith("["):
                table = self._header(statement, number)
            else:
                for key in _keys(tomllib.loads(statement)):
                    self._known.setdefault(table + key, number)

    def of(self, key: Key) -> int:
        """The line of a value; of what is around it where it has none of its own."""
        while key and key not in self._known:
            key = key[:-1]
        return self._known.get(key, 1)

    def _header(self, statement: str, number: int) -> Key:
        parsed: Any = tomllib.loads(statement)
        names: list[str] = []
        while isinstance(parsed, dict) and parsed:
            (name,) = parsed
            names.append(name)
            parsed = parsed[name]
        key: Key = ()
        for name in names:
            key = self._last((*key, name))
        if isinstance(parsed, list):  # [[device]]: one more of them
            key = key if not isinstance(key[-1], int) else key[:-1]
            self._known.setdefault(key, number)
            key = (*key, sum(1 for known in self._known if known[:-1] == key and isinstance(known[-1], int)))
        self._known.setdefault(key, number)
        return key

    def _last(self, key: Key) -> Key:
        """``key`` itself, or the last element where it is an array of tables."""
        if (*key, 0) not in self._known:
            return key
        return (*key, max(known[-1] for known in self._known if known[:-1] == key and isinstance(known[-1], int)))


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header and each ``key = value`` with its first line; one is complete where it parses by itself."""
    begun, kept = 0, ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not kept and not line.split("#")[0].strip():
            continue
        begun, kept = (number, line) if not kept else (begun, kept + line)
        try:
            tomllib.loads(kept)
        except tomllib.TOMLDecodeError:
            continue  # an array or a string that goes on
        yield begun, kept
        kept = ""


def _keys(value: Any, key: Key = ()) -> Iterator[Key]:
    if key:
        yield key
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _keys(inner, (*key, name))


def line_of_error(error: tomllib.TOMLDecodeError, text: str) -> int:
    """Where the parser gave up; the last line for what never ended."""
    match = _AT_LINE.search(str(error))
    return int(match[1]) if match else max(1, len(text.splitlines()))
