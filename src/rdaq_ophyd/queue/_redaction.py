"""What queueserver and its HTTP server log but a log must not have: passwords, keys, what proves who somebody is."""

from __future__ import annotations

import logging
import re

__all__ = ["NoKeys", "NoPasswords"]
PASSWORD = re.compile(r"(?<=redis_addr: ['\"]).*@|(?<=['\"/])[^\s'\"/@]*:[^\s'\"]*@")
"""``user:password@`` of an address: in queueserver's settings one a line, whatever it consists of; else in quotes."""
TRACES = logging.Formatter()


class NoPasswords(logging.Filter):
    """Of Redis, in what queueserver (0.0.25) logs: its settings at the start, a server that does not answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; one with a password gets another text."""
        if record.name.startswith("bluesky_queueserver"):
            told = record.getMessage()
            if record.exc_info:
                told = f"{told}\n{TRACES.formatException(record.exc_info)}"
            if PASSWORD.search(told):
                record.msg, record.args = PASSWORD.sub("***@", told), ()
                record.exc_info = record.exc_text = None
        return True


class NoKeys(logging.Filter):
    """In what bluesky-httpserver and uvicorn log: no settings, which hold the keys, and no queries, which may."""

    LOGGERS = ("bluesky_httpserver.server", "uvicorn.access", "uvicorn.error")

    @classmethod
    def install(cls) -> None:
        """Have these loggers of this process use it."""
        for name in cls.LOGGERS:
            logging.getLogger(name).addFilter(cls())

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave the settings out; of a path keep what is before its query."""
        if isinstance(record.args, tuple) and record.name.startswith("uvicorn"):  # which formats them by itself
            record.args = tuple(_path(each) if isinstance(each, str) else each for each in record.args)
        return not str(record.msg).startswith("APP settings")


def _path(word: str) -> str:
    return word.partition("?")[0] if word.startswith("/") else word
