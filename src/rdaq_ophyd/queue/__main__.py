"""queueserver's manager with our worker, in a process of its own: ``python -m rdaq_ophyd.queue OPTIONS``.

The options are those of ``start-re-manager``. It ends with the process that holds the other end of its standard input.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from functools import partial

from bluesky_queueserver.manager import start_manager

from rdaq_ophyd.catalog._parent import ParentWatch
from rdaq_ophyd.operations import LogFormat

from ._logs import LinePublisher, Publisher, drained, last_words, log_as_we_do
from ._manager import RigManager
from ._options import WorkerOptions
from ._worker import RigWorker

DRAINS = 2.0
"""Seconds for what was said last."""


def main() -> int:
    """Run until the manager is told to stop.

    What it dies of is in its log and, should the log be what is out of order, on the standard error that it began with.
    """
    # It kills the worker, whose watchdog then makes the rig safe.
    ParentWatch().then = lambda: os.kill(os.getpid(), signal.SIGTERM)
    form = LogFormat(WorkerOptions.from_environment().log_format)
    log_as_we_do(start_manager, form)
    start_manager.PublishZMQStreamOutput = LinePublisher if form is LogFormat.JSON else Publisher
    start_manager.WatchdogProcess = partial(
        start_manager.WatchdogProcess, cls_run_engine_worker=RigWorker, cls_run_engine_manager=RigManager
    )
    try:
        with drained(DRAINS), last_words():
            return int(start_manager.start_manager() or 0)
    except Exception:  # noqa: BLE001 all of them: this is the last place that can tell
        traceback.print_exc(file=sys.__stderr__)
        return 1


if __name__ == "__main__":
    sys.exit(main())
