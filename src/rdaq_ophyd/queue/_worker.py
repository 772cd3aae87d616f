"""queueserver's worker (0.0.25) with a rig's session in it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from bluesky.protocols import Status
from bluesky.run_engine import RunEngineResult
from bluesky.utils import FailedStatus
from bluesky_queueserver.manager import worker
from bluesky_queueserver.manager.worker import EState, PlanExecState, RunEngineWorker

from rdaq_ophyd.errors import ResumeRefused
from rdaq_ophyd.operations import LogFormat, RunUnderWay

from ._logs import last_words, log_as_we_do
from ._options import WorkerOptions
from ._orphan import usual_signals, when_orphaned

# The session and its server are imported in the worker alone: its parent, which may fork it, must not have gRPC.
logger = logging.getLogger(__name__)
RESULT_CHARACTERS = 2000
"""Of what a plan returned, in the history."""
OUTSIDE = "The plan is completed outside RE Manager"
"""queueserver's own words for a plan that was paused, and then ended by somebody else."""
CONFIRMED = 3.0
"""Seconds that a worker which was told to end waits for its manager to take note."""
LOOK_EVERY = 0.25
"""Seconds between two looks at a plan that was ended while it was paused."""


class RigWorker(RunEngineWorker):  # type: ignore[misc] # it has no types
    """A worker that owns instruments.

    It refuses to begin a plan while everything is stopped or something is moved by hand, tells its manager so, and
    closes the session before it says that the environment is closed. A plan that is ended by others than its manager
    (``rdaq stop``, ``rdaq abort``) is reported as what it came to.
    """

    _watch: Any = None
    _run: RunUnderWay

    def run(self) -> None:
        """In the process of the worker."""
        usual_signals()
        when_orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM))  # everything is stopped, the session closes
        self._run = RunUnderWay()
        log_as_we_do(worker, LogFormat(WorkerOptions.from_environment().log_format), self._run.fields)
        with last_words():
            super().run()

    # -- opening and closing --------------------------------------------------------------------------------

    def _worker_startup_code(self) -> None:
        super()._worker_startup_code()
        from ._engine_watch import EngineWatch
        from ._rig_session import opened

        if (rig := opened()) is not None and self._success_startup:
            self._watch = EngineWatch(rig.session.RE)
            rig.session.RE.subscribe(self._run)
            rig.session.signals.leave = self._exit_event.set
            threading.Thread(target=self._follow_ends, name="queue-ends", daemon=True).start()

    def _worker_shutdown_code(self) -> None:
        from ._rig_session import close_session, opened

        told = opened() is not None and bool(opened().session.signals.ending)  # type: ignore[union-attr]
        close_session()
        if told:  # by a signal: the manager may be gone, too
            timer = threading.Timer(CONFIRMED, self._exit_confirmed_event.set)
            timer.daemon = True
            timer.start()
        super()._worker_shutdown_code()

    # -- what the manager asks ------------------------------------------------------------------------------

    def _request_state_handler(self) -> dict[str, Any]:
        from ._rig_session import opened

        state: dict[str, Any] = super()._request_state_handler()
        if (rig := opened()) is not None:
            state |= {"rig": rig.session.rig.name, "address": rig.server.address, "also_at": rig.also_at()}
        return state | {"worker_pid": os.getpid(), "not_now": self._not_now(), **_stopped()}

    def _command_reset_worker_handler(self) -> dict[str, str]:
        """Before each plan, while it is still in the queue."""
        if why := self._not_now():
            return {"status": "rejected", "err_msg": why}
        reply: dict[str, str] = super()._command_reset_worker_handler()
        return reply

    def _not_now(self) -> str:
        from ._rig_session import opened

        if why := _stopped()["stopped"]:
            return f"{why}; look at the bench, then `rdaq reset REASON`"
        if (rig := opened()) is not None and rig.server.moving:
            return f"{', '.join(rig.server.moving)} is moved or set by hand: wait, or stop that"
        return ""

    def _request_plan_report_handler(self) -> dict[str, Any] | None:
        report: dict[str, Any] | None = super()._request_plan_report_handler()
        if report is None:
            return None
        if report["err_msg"] == OUTSIDE:
            report |= {"err_msg": f"{self._watch.end or 'resumed'} by others than the queue", "stop_queue": False}
        if report["plan_state"] in ("failed", "unknown") and self._watch.end:
            report["plan_state"] = self._watch.end  # so that the queue stops, whatever its mode is
        elif report["plan_state"] == "unknown":
            report["plan_state"] = "completed"
        returned = _in_words(report["result"])
        # Plain text: it goes to a process that may not know the class. The history has it as the item's message.
        return {**report, "result": returned, "err_msg": report["err_msg"] or returned}

    # -- plans ----------------------------------------------------------------------------------------------

    def _generate_new_plan(self, parameters: dict[str, Any]) -> Any:
        from rdaq_ophyd.startup import check_run_metadata

        self._watch.begin()
        given = parameters.get("meta") or {}
        parts = given if isinstance(given, list | tuple) else [given]
        for part in parts:
            check_run_metadata(part)
        mine = {"submitted_by": parameters["user"], "queue_item": parameters["item_uid"]}
        whole = [mine, *parts]  # of a list queueserver lets the first win
        return _with_cause(super()._generate_new_plan({**parameters, "meta": whole}))

    def _generate_continued_plan(self, parameters: dict[str, Any]) -> Any:
        return _with_cause(super()._generate_continued_plan(parameters))

    def _follow_ends(self) -> None:
        """A paused plan can be resumed or ended by others; its manager is told how that went."""
        while not self._exit_event.is_set():
            time.sleep(LOOK_EVERY)
            running = self._running_plan_exec_state == PlanExecState.RUNNING
            if running and self._env_state == EState.IDLE and self.re_state == "idle":
                self._generate_report_for_abandoned_plan()


def _with_cause(run: Callable[[], Any]) -> Callable[[], Any]:
    """The same; what a device said counts, not which status failed because of it."""

    def told() -> Any:
        try:
            return run()
        except FailedStatus as failure:
            raise (failure.__cause__ or failure) from failure
        except ResumeRefused as error:  # queueserver only says that the plan is paused
            if error.may_be_accepted:  # its requests cannot say that
                error.hint = "put it back and resume again, or `rdaq resume --accept-changes WHY`, or abort"
            logger.error("%s", error)
            raise

    return told


def _in_words(result: Any) -> str:
    if not isinstance(result, RunEngineResult) or result.plan_result is None:
        return ""
    if result.plan_result in result.run_start_uids:  # of Bluesky's own plans; the history has it already
        return ""
    if _has_status(result.plan_result):  # of `mv` and the like: it says where an object lies in memory
        return ""
    return str(result.plan_result)[:RESULT_CHARACTERS]


def _stopped() -> dict[str, Any]:
    """Why everything is stopped; empty when it is not. And how often it was, modulo 256."""
    from rdaq_ophyd.stop import latch

    return {"stopped": latch.why if latch.tripped else "", "stops": latch.trips}


def _has_status(result: Any) -> bool:
    return isinstance(result, Status) or (isinstance(result, list | tuple) and any(map(_has_status, result)))
