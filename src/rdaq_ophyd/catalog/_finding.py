"""What a check of the shared catalog found."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """One line of the report.

    :param about: what was tried.
    :param text: what came of it.
    :param hint: the next step where it failed.
    :param kind: whether it is as it should be, is not, or could not be tried.
    :param fatal: nothing else can be tried.
    """

    about: str
    text: str
    hint: str = ""
    kind: Literal["ok", "failed", "skipped"] = "ok"
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.kind:<8}{self.about}: {self.text}" + (f" → {self.hint}" if self.hint else "")


def failed(about: str, text: str, hint: str, *, fatal: bool = False) -> Finding:
    """Something that is wrong, and the next step."""
    return Finding(about, text, hint, "failed", fatal)


def skipped(about: str, text: str, hint: str = "") -> Finding:
    """Something that could not be tried."""
    return Finding(about, text, hint, "skipped")
