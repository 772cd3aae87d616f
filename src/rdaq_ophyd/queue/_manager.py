"""queueserver's manager (0.0.25), which respects the stop latch and notices that its worker has died."""

from __future__ import annotations

import asyncio
import logging
import os
from datetime import datetime
from typing import Any

from bluesky_queueserver.manager import manager
from bluesky_queueserver.manager.manager import MState, RunEngineManager

from rdaq_ophyd.operations import LogFormat

from ._logs import last_words, log_as_we_do
from ._options import WorkerOptions
from ._orphan import usual_signals, when_orphaned

logger = logging.getLogger(__name__)
#: What the worker tells of itself, handed on with the status.
FROM_WORKER = ("rig", "address", "also_at", "worker_pid", "stopped")


class RigManager(RunEngineManager):  # type: ignore[misc] # it has no types
    """A manager that begins nothing while everything is stopped, and nothing by itself after that.

    Its status tells more: ``rig``, ``address`` (of the gRPC server), ``also_at`` (of its metrics and its page),
    ``worker_pid``, ``stopped`` (why everything is stopped; empty when it is not) and ``worker_died`` (when and how;
    empty when it did not).
    """

    _status: dict[str, Any]
    _worker_died = ""
    _burial: asyncio.Task[None] | None = None
    _stops: int | None = None

    def run(self) -> None:
        """In the process of the manager."""
        usual_signals()
        when_orphaned(lambda: os._exit(1))
        log_as_we_do(manager, LogFormat(WorkerOptions.from_environment().log_format))
        with last_words():
            super().run()

    def _status_update(self) -> None:
        super()._status_update()
        state = self._worker_state_info or {}
        more = {key: state.get(key, "") for key in FROM_WORKER}
        self._status = {**self._status, **more, "worker_died": self._worker_died}

    # -- stopped --------------------------------------------------------------------------------------------

    async def _start_plan(self) -> tuple[bool, str]:
        if why := await self._refusal():
            return False, why
        reply: tuple[bool, str] = await super()._start_plan()
        return reply

    async def _start_single_plan(self, *, item: Any) -> Any:
        if why := await self._refusal():
            return False, why, item, None
        return await super()._start_single_plan(item=item)

    async def _autostart_enable(self) -> tuple[bool, str]:
        if why := await self._refusal():
            return False, why
        reply: tuple[bool, str] = await super()._autostart_enable()
        return reply

    async def _refusal(self) -> str:
        """Why no plan may begin; empty when one may."""
        state, _ = await self._worker_request_state() if self._environment_exists else (None, "")
        return str(state["not_now"]) if state else ""

    async def _worker_request_state(self) -> tuple[dict[str, Any] | None, str]:
        state, error = await super()._worker_request_state()
        if state is None:
            await self._look_for_death()
        elif self._stops != state["stops"]:
            before, self._stops = self._stops, state["stops"]
            if before is not None or state["stopped"]:
                await self._autostart_disable()  # after a reset nothing starts by itself
        return state, error

    # -- the death of the worker ----------------------------------------------------------------------------

    async def _look_for_death(self) -> None:
        """The worker does not answer; queueserver itself would ask for ever."""
        leaving = (MState.CLOSING_ENVIRONMENT, MState.DESTROYING_ENVIRONMENT)
        burying = self._burial is not None and not self._burial.done()
        if burying or self._manager_state in leaving or await self._watchdog_is_worker_alive():
            return
        if self._manager_state == MState.CREATING_ENVIRONMENT:
            self._note_death("while it opened its environment")
            self._environment_exists = False
            if self._fut_manager_task_completed and not self._fut_manager_task_completed.done():
                self._fut_manager_task_completed.set_result(False)
        elif self._environment_exists:
            self._burial = self._loop.create_task(self._bury())

    def _note_death(self, when: str) -> None:
        self._worker_died = f"the worker died at {datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {when}"
        logger.error("%s", self._worker_died)

    async def _bury(self) -> None:
        """What it was doing counts as failed, is kept in front of the queue, and does not begin by itself."""
        item = self._plan_queue.get_running_item_info()
        self._note_death(f"in plan {item['name']}" if item else "with no plan under way")
        await self._autostart_disable()
        await self._plan_queue.set_processed_item_as_stopped(
            exit_status="failed", run_uids=[], scan_ids=[], err_msg=self._worker_died, err_tb=""
        )
        await self._kill_re_worker_task()

    async def _kill_re_worker_task(self) -> tuple[bool, str]:
        await self._autostart_disable()  # else what it was doing would begin anew with the next environment
        reply: tuple[bool, str] = await super()._kill_re_worker_task()
        return reply

    async def _start_re_worker_task(self) -> tuple[bool, str]:
        reply: tuple[bool, str] = await super()._start_re_worker_task()
        if reply[0]:
            self._worker_died, self._stops = "", None
            self._status_update()
        return reply
