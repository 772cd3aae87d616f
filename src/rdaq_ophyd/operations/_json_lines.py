"""Log records as JSON, one object a line."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ._context import CALL, CALLER

LONGEST = 32_000
"""Characters of a message and of a traceback; the beginning of the one and the end of the other are kept."""
TAKEN = {
    "ophyd_async_device_name": "device",
    "device": "device",
    "run_uid": "run_uid",
    "scan_id": "scan_id",
    "client": "client",
    "call": "call",
}
"""Attribute of a record: field of the line. Those of ophyd-async and bluesky, and our own."""


class JsonLines(logging.Formatter):
    """Makes one line of each record: time, level, logger, message; device, run_uid, scan_id, client, call where known.

    :param context: gives what is known of the run under way.
    """

    def __init__(self, context: Callable[[], Mapping[str, Any]] = dict) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:LONGEST],
            **{name: value for name, value in self._fields(record).items() if value not in (None, "")},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-LONGEST:]
        if record.stack_info:
            line["stack"] = record.stack_info[-LONGEST:]
        return json.dumps(line, default=str)  # in ASCII: a file name that is no text must not lose a line

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        caller = CALLER.get()
        found = dict(self._context()) | {"call": CALL.get(), "client": "" if caller == "nobody" else caller}
        found["device"] = _device(record.args) if isinstance(record.args, tuple) else ""
        return found | {
            field: getattr(record, name) for name, field in TAKEN.items() if getattr(record, name, None) is not None
        }


def _device(arguments: tuple[object, ...]) -> str:
    """The name of the first that is a device; a process that has not loaded ophyd-async has none."""
    ophyd = sys.modules.get("ophyd_async.core")
    return next((str(each.name) for each in arguments if ophyd and isinstance(each, ophyd.Device)), "")
