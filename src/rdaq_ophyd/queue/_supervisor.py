"""Starts queueserver on a profile, looks after it, and ends it in order."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from rdaq_ophyd.catalog import DataLayout, hint_at_repair, repair
from rdaq_ophyd.errors import QueueError, RdaqError
from rdaq_ophyd.stop import ask, running

from ._control import Control
from ._manager_process import ManagerProcess

__all__ = ["Supervisor"]
logger = logging.getLogger(__name__)
LOOK_EVERY = 0.25
"""Seconds between two looks."""
ANSWERS = 30.0
"""Seconds for the manager to come up."""
OPENS = 300.0
"""Seconds for the worker to connect its devices."""
STOPS = 30.0
"""Seconds for the verdicts of a stop-all."""
PLAN_ENDS = 40.0
"""Seconds for a stopped plan to end with its clean-up, and for its report to reach the queue."""
CLOSES = 90.0
"""Seconds for the worker to close its devices and to deliver its documents."""
ORPHAN = 20.0
"""Seconds for a worker without a manager to give up its instruments."""
REPAIRABLE = 20.0
"""Seconds for what a dead worker has started to end, so that its files can be mended."""


class Supervisor:
    """One queue, from ``open`` to ``close``.

    :param manager: queueserver, just started.
    :param control: how it is asked.
    :param layout: of the data directory.
    """

    def __init__(self, manager: ManagerProcess, control: Control, layout: DataLayout) -> None:
        self._manager, self._control, self._layout = manager, control, layout
        self._died, self._worker = "", 0
        self.told = threading.Event()
        self.signal = 0

    # -- from its start to its end --------------------------------------------------------------------------

    def open(self) -> dict[str, Any]:
        """Wait for the manager, open the environment; the status then.

        :raises QueueError: one of them does not come up; why is in the log.
        """
        self._until(lambda: bool(self._status()), ANSWERS, "the manager of the queue does not answer")
        self._control.ask("environment_open")
        self._until(lambda: self._status().get("manager_state") == "idle", OPENS, "the worker does not come up")
        if not (status := self._status()).get("worker_environment_exists"):
            raise QueueError("the worker did not come up", hint="why is said above; mend the profile, start it again")
        return status

    def watch(self) -> int:
        """Until a signal.

        :return: 1 when the manager has ended by itself, or the worker has died and was not opened again; 0 after
            Ctrl-C; after another signal 128 and its number, as a shell tells it.
        """
        while not self.told.wait(LOOK_EVERY):
            if (code := self._manager.exit_code) is not None:
                logger.error("the manager of the queue has ended with code %s", code)
                return 1
            self._look_at_worker(self._status())
        if self._died:
            return 1
        return 0 if self.signal == signal.SIGINT else 128 + self.signal

    def _look_at_worker(self, status: dict[str, Any]) -> None:
        died = status.get("worker_died", self._died)
        if died and died != self._died:
            logger.error("%s: its watchdog makes the rig safe, the queue stands still", died)
            self._repair()
            logger.error("look at the bench; then `rdaq reset REASON`, `rdaq queue open`, and `rdaq queue start`")
        self._died = died

    def _repair(self) -> None:
        """Give the runs of a dead worker their end, and mend its files."""
        try:
            end = time.monotonic() + REPAIRABLE
            while (hint := hint_at_repair(self._layout)) and time.monotonic() < end and not self.told.is_set():
                for line in repair(self._layout):
                    if line.kind == "changed":
                        logger.warning("%s", line)
                self.told.wait(1.0)
            if hint:
                logger.error("%s", hint)
        except (RdaqError, OSError) as error:
            logger.error("%s; later: rdaq repair %s", error, self._layout.root)

    def _until(self, condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if (code := self._manager.exit_code) is not None:
                raise QueueError(f"{otherwise}: it has ended with code {code}", hint="why is said above")
            if self.told.is_set():
                raise SystemExit(128 + self.signal)
            if time.monotonic() > end:
                raise QueueError(f"{otherwise} within {seconds:g} s", hint="what it did is said above")
            self.told.wait(LOOK_EVERY)

    def _status(self) -> dict[str, Any]:
        try:
            status = self._control.status()
        except QueueError as error:
            logger.debug("%s", error)
            return {}
        self._worker = status.get("worker_pid") or self._worker
        return status

    # -- signals --------------------------------------------------------------------------------------------

    def on_signal(self, number: int, _frame: object) -> None:
        """The first ends it in order; one more ends it at once."""
        if self.told.is_set():
            raise SystemExit(128 + number)
        self.signal = number
        self.told.set()

    def close(self) -> None:
        """Stop everything, let the plan end, close the environment and the manager; each bounded. Idempotent."""
        with contextlib.suppress(QueueError):  # it ends by `end` then
            self._close_in_order()
        self._manager.end()
        end = time.monotonic() + ORPHAN
        while any(process.pid == self._worker for process in running()) and time.monotonic() < end:
            time.sleep(LOOK_EVERY)  # its manager was killed: it closes its devices by itself

    def _close_in_order(self) -> None:
        if self._manager.exit_code is not None:
            return
        status = self._status()
        busy = status.get("manager_state") in ("executing_queue", "starting_queue", "paused")
        if worker := status.get("worker_pid"):
            if busy or self.signal != signal.SIGINT:
                self._stop_worker(worker)
            self._wait(lambda s: s.get("manager_state") == "idle", PLAN_ENDS)
        if status.get("worker_environment_exists"):
            try:
                self._control.ask("environment_close")
                self._wait(lambda s: not s.get("worker_environment_exists"), CLOSES)
            except QueueError as error:
                logger.error("the worker could not be closed: %s; it is ended", error)
        self._control.ask("manager_stop", option="safe_off")
        self._manager.wait(CLOSES)

    def _stop_worker(self, pid: int) -> None:
        """A stop-all in the worker, by the socket that `rdaq stop` uses."""
        for process in running():
            if process.pid == pid:
                reason = signal.Signals(self.signal).name if self.signal else "the queue ends"
                answer = ask(process, STOPS, do="stop", reason=reason, by=f"rdaq queue, process {os.getpid()}")
                logger.warning("%s", answer.get("report") or answer.get("error"))

    def _wait(self, condition: Callable[[dict[str, Any]], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while self._manager.exit_code is None and time.monotonic() < end:
            if (status := self._status()) and condition(status):
                return
            time.sleep(LOOK_EVERY)
