"""What a text may not hold that becomes one command on the wire."""

from __future__ import annotations

import unicodedata

CONTROL = frozenset({"Cc", "Zl", "Zp"})
"""Categories of Unicode for characters that control a line: line ends, escapes, separators of lines."""


def unfit(text: str, encoding: str, end: str = "", controls: str = "") -> str:
    """Why ``text`` is not one command, or a part of one; empty where it is.

    :param end: the mark that is sent after each command.
    :param controls: control characters that it may have.
    """
    for char in text:
        if unicodedata.category(char) in CONTROL and char not in controls:
            return f"has the control character {char!r}"
    if end and end in text:
        return f"has {end!r}, which ends a command"
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        return f"has {text[error.start]!r}, which cannot be sent as {encoding}"
    return ""
