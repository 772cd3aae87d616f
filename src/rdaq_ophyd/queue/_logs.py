"""The log of queueserver's processes (0.0.25), in the same form as that of `rdaq serve`."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from bluesky_queueserver.manager.output_streaming import (
    ConsoleOutputStream,
    PublishZMQStreamOutput,
    setup_console_output_redirection,
)

from rdaq_ophyd.operations import LogFormat, set_up_logs
from rdaq_ophyd.operations._json_lines import JsonLines
from rdaq_ophyd.operations._logs import TEXT
from rdaq_ophyd.operations._printed_lines import PrintedLines

from ._redaction import NoPasswords

__all__ = ["LinePublisher", "Publisher", "drained", "last_words", "log_as_we_do"]
logger = logging.getLogger(__name__)
LOG = "log"
"""Beside queueserver's channels ``console`` and ``info``: lines for the log, which are not published."""
DRAINED = "drained"
"""And the end of what is to be said."""

type Context = Callable[[], Mapping[str, Any]]


def log_as_we_do(module: ModuleType, form: LogFormat, context: Context = dict) -> None:
    """Have a module of queueserver set logs up so, when its process begins.

    All its processes print by way of the first, which also publishes what is printed. Published is always text.

    :param module: has ``setup_console_output_redirection`` and ``setup_loggers`` of queueserver.
    :param context: what is known of the run under way.
    """

    def redirect(msg_queue: Any) -> None:
        setup_console_output_redirection(msg_queue)
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
        if form is LogFormat.JSON:
            handler, sys.stdout = Records(msg_queue), Printed(msg_queue, context)
        handler.addFilter(NoPasswords())
        set_up_logs(form, context=context, handler=handler)
        own = logging.getLogger("bluesky_queueserver")
        own.handlers.clear()
        own.setLevel(logging.NOTSET)  # the supervisor, which this process may be a copy of, wants warnings alone
        own.propagate = True

    vars(module).update(setup_console_output_redirection=redirect, setup_loggers=lambda **_level: None)


@contextlib.contextmanager
def last_words() -> Iterator[None]:
    """Log what a process dies of. What ``multiprocessing`` prints of it does not get through any more."""
    try:
        yield
    except Exception as error:
        logger.critical("uncaught: %s", error, exc_info=True)
        raise


class Records(logging.Handler):
    """Each record as a line for the log, and as text for those who watch the console."""

    def __init__(self, queue: Any) -> None:
        super().__init__()
        self._queue = queue
        self._text = logging.Formatter(TEXT)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it to the first process."""
        try:
            for channel, text in (("console", self._text.format(record)), (LOG, self.format(record))):
                self._queue.put({"channel": channel, "time": record.created, "msg": f"{text}\n"})
        except Exception:  # noqa: BLE001 as every handler: the program goes on without its log
            self.handleError(record)


class Printed(ConsoleOutputStream):  # type: ignore[misc] # it has no types
    """What is printed to standard output: published as it comes, in the log as a record each line."""

    def __init__(self, queue: Any, context: Context) -> None:
        super().__init__(msg_queue=queue)
        self._format, self._lines = JsonLines(context).format, PrintedLines()

    def write(self, text: str) -> int:
        """Hand it to the first process."""
        size: int = super().write(text)
        for line in self._lines.of(text):
            record = logging.LogRecord("stdout", logging.INFO, "", 0, "%s", (line,), None)
            self._msg_queue.put({"channel": LOG, "time": time.time(), "msg": f"{self._format(record)}\n"})
        return size


class Publisher(PublishZMQStreamOutput):  # type: ignore[misc] # it has no types
    """In the first process: publishes as queueserver does, on a thread that ends with the process."""

    newest: Publisher | None = None
    """queueserver tells nobody of the one that it makes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._drained = threading.Event()
        Publisher.newest = self

    def drain(self, seconds: float) -> None:
        """Wait until what this process has said is out; what is not by then is lost, and holds its end up no more."""
        self._msg_queue.put({"channel": DRAINED})
        if not self._drained.wait(seconds):
            self._msg_queue.cancel_join_thread()  # who was killed while it wrote may have left it locked

    def _publish(self, payload: Mapping[str, Any]) -> None:
        if payload["channel"] == DRAINED:
            self._drained.set()
        else:
            super()._publish(payload)


@contextlib.contextmanager
def drained(seconds: float) -> Iterator[None]:
    """What the first process has said is out when the block ends, as far as that takes so long."""
    try:
        yield
    finally:
        if Publisher.newest is not None:
            Publisher.newest.drain(seconds)


class LinePublisher(Publisher):
    """In the first process: publishes as queueserver does, and prints the lines of the log instead."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "console_output_on": False})

    def _publish(self, payload: Mapping[str, Any]) -> None:
        if payload["channel"] != LOG:
            super()._publish(payload)
        elif sys.__stdout__ is not None:
            sys.__stdout__.write(payload["msg"])
            sys.__stdout__.flush()
