"""Where the log goes: to standard error, or a file of bounded size; as text, or as a line of JSON each."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import RdaqError

from ._json_lines import JsonLines
from ._printed_lines import PrintedLines

logger = logging.getLogger(__name__)
FILE_BYTES, FILES = 10 << 20, 5
"""A log file is put aside at this size, and so many of them are kept."""
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
NOISY = ("httpx", "httpcore", "asyncio.selector")
"""Libraries that log each request; their warnings are kept."""


class LogFormat(StrEnum):
    """How a log is written."""

    TEXT = "text"
    JSON = "json"

    @classmethod
    def usual(cls, file: Path | None = None) -> LogFormat:
        """For a person at a terminal text, for whatever else reads it, and for a file, JSON."""
        return cls.TEXT if file is None and sys.stderr.isatty() else cls.JSON


class RunUnderWay:
    """The run that is open, for log lines; subscribe it to a RunEngine."""

    def __init__(self) -> None:
        self._run: dict[str, Any] = {}

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Take a document."""
        if name == "start":
            self._run = {"run_uid": document["uid"], "scan_id": document.get("scan_id")}
        elif name == "stop" and document["run_start"] == self._run.get("run_uid"):
            self._run = {}

    def fields(self) -> Mapping[str, Any]:
        """What to say of it."""
        return self._run


def set_up_logs(
    form: LogFormat | None = None,
    file: Path | None = None,
    context: Callable[[], Mapping[str, Any]] = dict,
    handler: logging.Handler | None = None,
) -> Callable[[], None]:
    """Send everything there: logs of all libraries, warnings, what threads and the program die of.

    As JSON also what is printed to ``sys.stderr``, so that each line is one object.

    :param form: None: text on a terminal, else JSON.
    :param file: None: standard error, where a journal or a terminal takes care of it.
    :param context: what is known of the run under way.
    :param handler: takes the records instead of a file or standard error.
    :return: puts everything back.
    :raises RdaqError: the file cannot be written.
    """
    form = form or LogFormat.usual(file)
    handler = handler or _handler(file)
    handler.setFormatter(JsonLines(context) if form is LogFormat.JSON else logging.Formatter(TEXT))
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook, sys.unraisablehook, sys.stderr
    noisy = {name: logging.getLogger(name).level for name in NOISY}
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook, threading.excepthook, sys.unraisablehook = _uncaught, _uncaught_in_thread, _unraisable
    if form is LogFormat.JSON:
        # gRPC's core writes by itself; what it has to say to us comes as status codes.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        sys.stderr = _Printed()

    def put_back() -> None:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        sys.excepthook, threading.excepthook, sys.unraisablehook, sys.stderr = before[2:]
        for name, level in noisy.items():
            logging.getLogger(name).setLevel(level)
        logging.captureWarnings(False)
        handler.close()

    return put_back


def _handler(file: Path | None) -> logging.Handler:
    if file is None:
        return logging.StreamHandler(sys.stderr)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return _OwnersFile(file, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8")
    except OSError as error:
        raise RdaqError(f"{file}: {error.strerror}", hint="give a file that this user may write") from error


class _OwnersFile(RotatingFileHandler):
    """Made for its owner alone: who did what is in it. One that is there keeps the mode that it has."""

    def _open(self) -> io.TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=_for_owner)


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _Printed(io.TextIOBase):
    """What is printed to standard error, as log records, line by line."""

    def __init__(self) -> None:
        self._lines = PrintedLines()
        self._within = threading.local()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if getattr(self._within, "busy", False):  # a log that cannot be written complains here
            if sys.__stderr__ is not None:
                sys.__stderr__.write(text)
            return len(text)
        lines = self._lines.of(text)
        self._within.busy = True
        try:
            for line in lines:
                logging.getLogger("stderr").warning("%s", line)
        finally:
            self._within.busy = False
        return len(text)


def _uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        logger.error("interrupted")
    else:
        logger.critical("uncaught: %s", error or kind.__name__, exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else "?"
        error = args.exc_value or args.exc_type()
        logger.error("uncaught in thread %s: %s", name, error, exc_info=(args.exc_type, error, args.exc_traceback))


def _unraisable(args: Any) -> None:
    error = args.exc_value or args.exc_type()
    logger.error(
        "%s %r: %s", args.err_msg or "ignored in", args.object, error,
        exc_info=(args.exc_type, error, args.exc_traceback),
    )  # fmt: skip
