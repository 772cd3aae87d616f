"""What a repair says about one thing."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Told(NamedTuple):
    """One line of the report.

    :param about: a file or a run.
    :param text: what was found, and done with it.
    :param kind: whether it was (or would be) changed, is left alone for a reason, or could not be repaired.
    """

    about: str
    text: str
    kind: Literal["changed", "left", "failed"]

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


def counted(number: int, noun: str) -> str:
    """A count with its noun: ``1 frame``, ``2 frames``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def one_line(error: BaseException) -> str:
    """An error's message without HDF5's line breaks."""
    return " ".join(str(error).split())
