"""What ended a run, in one line: for each abort the RunEngine logs sixty lines of its own call stack."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bluesky.utils import FailedStatus

__all__ = ["brief_aborts", "cause"]


def cause(failure: BaseException) -> BaseException:
    """What made a status fail: the device's own error, which says more than the status."""
    return failure.__cause__ or failure if isinstance(failure, FailedStatus) else failure


class _Brief(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, as information and without its traceback: the caller gets the exception itself."""
        if record.getMessage() == "No open traces left to close!":
            return False  # of every abort, about tracing that nobody switched on
        if record.exc_info and record.exc_info[1] is not None and record.getMessage() == "Run aborted":
            error = cause(record.exc_info[1])
            record.msg, record.args = f"Run aborted: {type(error).__name__} {error}".rstrip(), ()
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


@contextmanager
def brief_aborts() -> Iterator[None]:
    """While the block runs, bluesky's log tells an aborted run in one line."""
    logger, brief = logging.getLogger("bluesky"), _Brief()
    logger.addFilter(brief)
    try:
        yield
    finally:
        logger.removeFilter(brief)
