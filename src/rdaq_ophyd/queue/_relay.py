"""What child processes say, in our own log."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
from collections.abc import Iterator

__all__ = ["relayed", "relaying"]
WHOLE = f"{__name__}.whole"
"""The logger whose messages are lines of a log already."""
FIELDS = {"time", "level", "logger", "message"}
DRAINS = 5.0
"""Seconds for what was said last, when whoever said it has ended."""
LEVELS = {"D": logging.DEBUG, "I": logging.INFO, "W": logging.WARNING, "E": logging.ERROR, "C": logging.CRITICAL}
#: As uvicorn begins a line (``INFO:     …``), and queueserver and its HTTP server (``[I 2026-05-12 …``).
LEVEL = re.compile(r"(?:\[(?=[DIWEC] )|(?=(?:DEBUG|INFO|WARNING|ERROR|CRITICAL):))([DIWEC])")


@contextlib.contextmanager
def relaying() -> Iterator[None]:
    """Lines of a log, and other lines, can be relayed to the root logger's handlers while the block runs."""
    handlers = logging.getLogger().handlers[:]
    before = [handler.formatter for handler in handlers]
    for handler in handlers:
        handler.setFormatter(_OrWhole(handler.formatter or logging.Formatter()))
    try:
        yield
    finally:
        for handler, formatter in zip(handlers, before, strict=True):
            handler.setFormatter(formatter)


@contextlib.contextmanager
def relayed(name: str, *, as_they_are: bool = False) -> Iterator[int]:
    """A descriptor for the standard output of child processes; within :func:`relaying`.

    :param name: of the logger for lines that are none of a log yet.
    :param as_they_are: there are none of these.
    """
    reads, writes = os.pipe()
    thread = threading.Thread(target=_relay, args=(reads, name, as_they_are), name=f"log-{name}", daemon=True)
    thread.start()
    try:
        yield writes
    finally:
        os.close(writes)
        thread.join(DRAINS)


class _OrWhole(logging.Formatter):
    def __init__(self, usual: logging.Formatter) -> None:
        super().__init__()
        self._usual = usual

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage() if record.name == WHOLE else self._usual.format(record)


def _relay(reads: int, name: str, as_they_are: bool) -> None:
    whole, other = logging.getLogger(WHOLE), logging.getLogger(name)
    with open(reads, encoding="utf-8", errors="backslashreplace") as lines:
        for line in map(str.rstrip, lines):
            if as_they_are or _is_whole(line):
                whole.info("%s", line)
            elif line:
                found = LEVEL.match(line)
                other.log(LEVELS[found[1]] if found else logging.INFO, "%s", line)


def _is_whole(line: str) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # the latter where it is nested too deeply
        return False
    return isinstance(found, dict) and found.keys() >= FIELDS
