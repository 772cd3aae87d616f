"""What a simulated instrument understands: a text with typed places, or an SCPI header in all its forms."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ._template import TemplateError, places

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "float": (NUMBER, float),
    "int": (r"[+-]?\d+", int),
    "bool": (r"(?i:ON|OFF|0|1)", lambda text: text.upper() in {"ON", "1"}),
    "text": (r".*", str),
}
_HEADER = re.compile(r"[A-Za-z*:?\[\]#0-9_]*")
_MNEMONIC = re.compile(r"([A-Z]+)([a-z]*)")


class Pattern:
    """A text that may be received, compiled.

    :param text: with places ``{name:float}``, ``int``, ``bool``, ``text`` or alternatives ``{name:A|B}``.
    :param scpi: the text up to the first blank is an SCPI header: ``:SOURce:VOLTage[:LEVel]``.
    :param ignore_case: upper and lower case are the same.
    :ivar samples: a value such as each of its places takes.
    :raises TemplateError: a place has no name or an unknown kind, or stands twice.
    """

    def __init__(self, text: str, *, scpi: bool = False, ignore_case: bool = False) -> None:
        self.text = text
        self.samples: dict[str, Any] = {}
        self._readers: dict[str, Callable[[str], Any]] = {}
        parts: list[str] = []
        header = scpi
        for before, name, spec in places(text):
            head, blank, rest = before.partition(" ") if header else ("", "", before)
            parts.append(_scpi(head, first=not parts) + _blank(blank, scpi=scpi) + _literal(rest, scpi=scpi))
            header = header and not blank
            if name is not None:
                parts.append(self._place(name, spec))
        flags = re.IGNORECASE if scpi or ignore_case else 0
        self._regex = re.compile("".join(parts), flags)

    def match(self, text: str) -> dict[str, Any] | None:
        """The values in a received text; None where it is another one."""
        found = self._regex.fullmatch(text)
        return None if found is None else {name: read(found[name]) for name, read in self._readers.items()}

    def _place(self, name: str, spec: str) -> str:
        if not name.isidentifier() or name in self._readers:
            raise TemplateError(f"{self.text!r}: {{{name}}} is no name, or stands twice")
        if "|" in spec:
            alternatives = spec.split("|")
            self._readers[name] = _choose(alternatives)
            self.samples[name] = alternatives[0]
            regex = "|".join(map(re.escape, sorted(alternatives, key=len, reverse=True)))
        elif spec in KINDS:
            regex, self._readers[name] = KINDS[spec]
            self.samples[name] = {"float": 1.5, "int": 1, "bool": True, "text": "x"}[spec]
        else:
            raise TemplateError(f"{self.text!r}: {{{name}:{spec}}}: expected {', '.join(KINDS)} or A|B")
        return f"(?P<{name}>{regex})"


def _choose(alternatives: list[str]) -> Callable[[str], str]:
    return lambda text: next((one for one in alternatives if one.lower() == text.lower()), text)


def _blank(blank: str, *, scpi: bool) -> str:
    return r"\s+" if blank and scpi else re.escape(blank)


def _literal(text: str, *, scpi: bool) -> str:
    # Blanks around the commas of a list of parameters mean nothing in SCPI.
    return r"\s*,\s*".join(map(re.escape, text.split(","))) if scpi else re.escape(text)


def _scpi(header: str, *, first: bool) -> str:
    """A header with its long and short forms, its optional parts, and a colon before it or not."""
    if not _HEADER.fullmatch(header) or header.count("[") != header.count("]"):
        raise TemplateError(f"{header!r} is no SCPI header")
    if first and not header.startswith(("*", ":", "[")):
        header = ":" + header
    regex = re.escape(header).replace(r"\[", "(?:").replace(r"\]", ")?")
    regex = _MNEMONIC.sub(lambda word: word[1] + (f"(?:{word[2]})?" if word[2] else ""), regex)
    return regex.replace(":", ":?", 1) if first and header.startswith(":") else regex
