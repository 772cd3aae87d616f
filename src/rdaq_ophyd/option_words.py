"""Words of a command line as values: numbers below 0, lists, KEY=VALUE. What does not fit is refused in words."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rdaq_ophyd.errors import LimitError

__all__ = ["OptionParser", "number", "numbers", "once", "pair", "texts"]
NEGATIVE = re.compile(r"-(\.?\d|(inf|nan)\b)", re.IGNORECASE)


class OptionParser(argparse.ArgumentParser):
    """A parser that takes ``-1e-3`` and ``-1,-2`` for values, as it does ``-1``; options are not abbreviated.

    They may stand anywhere, also between words of one list (``stop smoke --host rig in the lab``).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})
        self._negative_number_matcher = NEGATIVE  # argparse has no public way; its own ends where an exponent begins
        self._is_mixing = False

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """See ``argparse``."""
        words = self._get_positional_actions()
        if self._is_mixing or not words or any(word.nargs in (argparse.PARSER, argparse.REMAINDER) for word in words):
            return super().parse_known_args(args, namespace)
        self._is_mixing = True  # this comes back here, in some versions of Python
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_mixing = False


def texts(word: str) -> list[str]:
    """``x,y``; a comma at the end makes a list of one.

    :raises argparse.ArgumentTypeError: a part is empty.
    """
    parts = [part.strip() for part in word.split(",")]
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{word!r} has an empty part: write values apart by single commas, as a,b")
    return parts


def numbers(word: str) -> list[float]:
    """``1,0.5``.

    :raises argparse.ArgumentTypeError: a part is empty, or no number.
    """
    return [number(part) for part in texts(word)]


def number(word: str) -> float:
    """``0.5``.

    :raises argparse.ArgumentTypeError: it is none.
    """
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is no number: write it as 0.5 or -1e-3, without unit") from None


def pair[T](of: Callable[[str], T]) -> Callable[[str], tuple[str, T]]:
    """``KEY=VALUE``.

    :param of: makes the value.
    """

    def value(word: str) -> tuple[str, T]:
        key, equals, rest = word.partition("=")
        if not (key.strip() and equals):
            raise argparse.ArgumentTypeError(f"{word!r} is no KEY=VALUE: write it as sample=GaAs")
        return key.strip(), of(rest)

    return value


def once[V](pairs: Sequence[tuple[str, V]]) -> Mapping[str, V]:
    """Keys with their values.

    :raises LimitError: a key is there twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = sorted({key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1})
        raise LimitError(f"{', '.join(twice)} given twice", hint="give each once")
    return found
