"""On which line of a TOML document each of its keys stands; the standard library's parser does not keep it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

type Key = tuple[str | int, ...]
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")


def line_of(text: str, key: Sequence[str | int]) -> int:
    """The line of ``key`` in a valid document, counted from 1; of what stands around it where it is not written."""
    lines = Lines(text)
    return lines.of(lines.written(key))


def line_of_error(error: tomllib.TOMLDecodeError, text: str) -> int:
    """Where the parser gave up; the last line for what never ended."""
    match = _AT_LINE.search(str(error))
    return int(match[1]) if match else max(1, len(text.splitlines()))


class Lines:
    """The lines of a document's tables, keys and members of arrays, found in one walk through it.

    :param text: TOML that ``tomllib`` has accepted, which makes the work small.
    """

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._line, self._counted = 1, 0
        self._table: Key = ()
        self._counts: dict[Key, int] = {}
        self._known: dict[Key, int] = {}
        while self._skip_blank():
            if self._text[self._at] == "[":
                self._header()
            else:
                self._pair(self._table)

    def of(self, key: Key) -> int:
        """The line of a value, counted from 1; of what is around it where it has none of its own."""
        while key and key not in self._known:
            key = key[:-1]
        return self._known.get(key, 1)

    def written(self, key: Sequence[str | int]) -> Key:
        """As much of ``key`` as is written, without parts that are not (names of types)."""
        found: Key = ()
        for part in key:
            if (*found, part) in self._known:
                found = (*found, part)
        return found

    def _note(self, key: Key) -> None:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        for end in range(1, len(key) + 1):
            self._known.setdefault(key[:end], self._line)

    def _skip_blank(self) -> bool:
        """Go to the next thing that is not blank, comma or comment; False at the end."""
        while self._at < len(self._text):
            if self._text[self._at] == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif self._text[self._at] in " \t\r\n,":
                self._at += 1
            else:
                return True
        return False

    def _header(self) -> None:
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        keys = list(self._keys("]"))
        self._at += 2 if array else 1
        path: Key = ()
        for i, key in enumerate(keys):
            path += (key,)
            if array and i == len(keys) - 1:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path += (self._counts[path],)
        self._table = path
        self._note(path)

    def _pair(self, table: Key) -> None:
        start = self._at
        path = (*table, *self._keys("="))
        after, self._at = self._at, start
        self._note(path)
        self._at = after + 1
        self._value(path)

    def _keys(self, end: str) -> Iterator[str]:
        """The parts of a dotted key, up to the character ``end``."""
        while True:
            self._skip_blank()
            char = self._text[self._at]
            if char == end:
                return
            if char == ".":
                self._at += 1
            elif char in "\"'":
                start = self._at
                self._string()
                yield _unquoted(self._text[start : self._at])
            else:
                start = self._at
                while self._text[self._at] not in ". \t=]":
                    self._at += 1
                yield self._text[start : self._at]

    def _value(self, path: Key) -> None:
        self._skip_blank()
        char = self._text[self._at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self._at += 1
            for index in self._members("]"):
                self._note((*path, index))
                self._value((*path, index))
        elif char == "{":
            self._at += 1
            for _ in self._members("}"):
                self._pair(path)
        else:
            while self._at < len(self._text) and self._text[self._at] not in ",]}#\r\n":
                self._at += 1

    def _members(self, end: str) -> Iterator[int]:
        index = 0
        while self._skip_blank() and self._text[self._at] != end:
            yield index
            index += 1
        self._at += 1

    def _string(self) -> None:
        quote = self._text[self._at]
        long = self._text.startswith(quote * 3, self._at)
        mark = quote * 3 if long else quote
        self._at += len(mark)
        while not self._text.startswith(mark, self._at):
            self._at += 2 if quote == '"' and self._text[self._at] == "\\" else 1
        self._at += len(mark)
        while long and self._text.startswith(quote, self._at):  # up to two quotes may end the text itself
            self._at += 1


def _unquoted(key: str) -> str:
    found: dict[str, Any] = tomllib.loads(f"key = {key}")
    return str(found["key"])
