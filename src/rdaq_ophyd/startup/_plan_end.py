"""A stop-all ends the plan in progress: it is aborted, with its own clean-up, and never resumed."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

from bluesky.utils import TransitionError  # type: ignore[attr-defined] # bluesky's own name for it

from rdaq_ophyd.stop import Verdict, latch, read_record, register, unregister

if TYPE_CHECKING:
    from ._run_engine import RigRunEngine

logger = logging.getLogger(__name__)
STOPPED = 20.0
"""Seconds that the clean-up of a plan may go on after a stop-all: it closes and switches off, and moves nothing."""
CLOSE = 30.0
"""Seconds that a session which is told to close waits for that."""


class PlanEnd:
    """The RunEngine's part of a stop-all; a target without a device."""

    first = True
    """Before the devices: what is under way must be known as stopped when its statuses fail."""
    bound = 0.0
    ends_with_process = True

    def __init__(self, engine: RigRunEngine) -> None:
        self._engine = engine
        self._thread: threading.Thread | None = None

    def devices(self) -> list[str]:
        """None: a plan gives no verdict."""
        return []

    def halt(self) -> None:
        """Abort the plan in progress, from any thread and any signal handler, without waiting."""
        self._engine.expect_end()
        self._engine.loop.call_soon_threadsafe(self.begin)

    def confirm(self) -> list[Verdict]:
        """Nothing to confirm."""
        return []

    def recheck(self) -> list[Verdict]:
        """Nothing to ask."""
        return []

    def left_over(self, seconds: float) -> str:
        """What a reset must not overtake: a plan that is still being taken down after so many seconds."""
        if self._engine.turns.wait_over(0.0 if self._engine.is_its_thread else seconds):
            return ""
        return f"a plan that is being taken down (its clean-up has {self._engine.stopped_clean_up:g} s; halt ends it)"

    def begin(self) -> None:
        """The same on the engine's loop, which must not wait for its own plan."""
        self._engine.hasten()
        if not self._engine.in_progress or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._abort, name="plan-end", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until a plan that was stopped is over, bounded. Not from the engine's loop."""
        if not self._engine.answers():
            logger.error("the event loop of the devices hangs: whatever plan it has is left behind")
            return
        if latch.tripped:
            asyncio.run_coroutine_threadsafe(self._begin(), self._engine.loop).result(CLOSE)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE)

    async def _begin(self) -> None:
        self.begin()

    def _abort(self) -> None:
        try:
            self._abort_or_halt()
        except TransitionError as error:
            logger.info("nothing to abort: %s", error)  # it ended meanwhile
        except Exception:  # of a paused plan's clean-up: there is no caller to raise it to
            logger.exception("the clean-up of the plan failed")

    def _abort_or_halt(self) -> None:
        try:
            self._engine.abort(latch.why)
        except TransitionError as error:
            if not self._engine.in_progress:
                raise
            logger.error("the plan is halted: %s", error)  # a device keeps it from coming to rest
            self._engine.halt()

    def __enter__(self) -> PlanEnd:
        register(self)
        return self

    def __exit__(self, *_error: object) -> None:
        unregister(self)
        if self._thread is not None and self._engine.answers():
            self._thread.join(CLOSE)


def stops() -> tuple[object, int]:
    """The same for each message of a plan: by the count of the latch alone."""
    return latch.path, latch.trips


def latch_mark() -> object:
    """Something that is different after each stop-all and each reset, by whatever process."""
    record = read_record(latch.path) if latch.path else None
    return latch.trips, record and (record["at"], record["tripped"])
