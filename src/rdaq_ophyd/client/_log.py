"""What a rig logs, line after line."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import messages

from ._course import LOST, POSITION, Course
from ._gap import OnGap

LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")
"""Of Python's logging; a server keeps nothing below the first."""


def least_of(level: str) -> int:
    """The number of a level.

    :raises LimitError: it is none of ``LEVELS``.
    """
    if level not in LEVELS:
        raise LimitError(f"no level {level!r}", hint=f"give one of {', '.join(LEVELS)}")
    return logging.getLevelNamesMapping()[level]


def is_grave(line: messages.LogLine, least: int) -> bool:
    """Whether a line has that level or a graver one. A level that has no name here counts as such."""
    return logging.getLevelNamesMapping().get(line.level, least) >= least


class LogCourse(Course[messages.LogLine]):
    """The lines that the server still has, then each as it comes. After a cut they go on behind the last one.

    :param level: the least that is handed on, one of ``LEVELS``.
    :raises LimitError: another level.
    """

    call = "WatchLog"
    stream = "log"

    def __init__(self, level: str = LEVELS[0], on_gap: OnGap | None = None) -> None:
        super().__init__(on_gap)
        self._least, self._position = least_of(level), 0

    def request(self) -> messages.WatchLogRequest:
        """All that there is, or what came since."""
        return messages.WatchLogRequest(instance=self.instance, since=self._position)

    def begun(self, told: Mapping[str, str]) -> None:
        """Where it begins."""
        super().begun(told)
        self._position = int(told[POSITION])

    def items(self, message: messages.LogLine) -> Iterable[messages.LogLine]:
        """It itself, where it is grave enough."""
        self._position = message.number
        if is_grave(message, self._least):
            yield message

    def _again(self, since: float, told: Mapping[str, str], restarted: bool) -> None:
        self._gap(since, None if restarted else int(told[LOST]), restarted)
