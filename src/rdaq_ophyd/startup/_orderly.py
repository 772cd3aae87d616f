"""A RunEngine that can be interrupted at any moment, and comes to rest each time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from bluesky import Msg, RunEngine
from bluesky.run_engine import RunEngineResult
from bluesky.utils import TransitionError  # type: ignore[attr-defined]  # bluesky's own name for it

from ._leaving import CLEAN_UP, Deadline, leave
from ._quits import LastingLoop, Plans

__all__ = ["ENDING", "STOP_BOUND", "OrderlyRunEngine"]
logger = logging.getLogger(__name__)
#: States in which the RunEngine takes a plan down for good.
ENDING = frozenset({"aborting", "stopping", "halting"})
#: The longest that one device's ``stop`` may take, s; the slowest stages brake in less.
STOP_BOUND = 60.0
SETTLING = STOP_BOUND + 10.0
"""Seconds that a pause may take to settle: all devices stop at once, then shutters and lasers are read."""
ANSWERS = 10.0
"""Seconds without an answer after which the event loop counts as one that hangs."""


class OrderlyRunEngine(RunEngine):
    """bluesky's RunEngine (1.15.1) without the moments in which an interruption leaves it in between for good.

    There, a pause or an abort cancels the engine's task also while that closes the run of a plan that is over: the
    stop document is lost, and the state stays ``pausing`` or ``aborting``. An abort that is asked for while a pause
    settles finds the engine paused when its turn comes, and nobody lets the task go on. A resume and an abort at
    once both change the stack of plans. One that comes while a device is asked for its configuration leaves half of it
    in the run's memory, and the replayed question fails with a ``KeyError``.

    Here each interruption looks at the state and changes it in one step of the event loop; one that comes too late
    is refused with a ``TransitionError``.

    There, a plan that catches what an abort throws into it (an ``Exception``) goes on as if nothing had been, and so
    does one that yields while it is halted. Here a clean-up has its time, and ``halt`` is always an end: the plan's
    generators are closed, and no message of it is done any more.

    There, a plan or a device that raises ``SystemExit`` ends the event loop: the call never returns, and no device
    answers any more. Here the plan fails, in words.

    :ivar clean_up: seconds that a plan's clean-up may take when the plan is aborted or finished.
    """

    clean_up = CLEAN_UP

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._cancellable: _Cancellable | None = None
        self._settled = asyncio.Event()
        self._settled.set()
        self._plan_itself: Any = None
        self._question: tuple[threading.Event, float] | None = None
        super().__init__(*args, **{"loop": LastingLoop(), **kwargs})
        self._clean_up_end = Deadline(self.loop, self._clean_up_took_too_long)

    def _clear_call_cache(self) -> None:
        super()._clear_call_cache()
        self._plan_stack = Plans()

    async def _run(self) -> Any:
        try:
            return await super()._run()
        finally:
            if self._state in ENDING | {"running"}:  # its own clean-up broke off
                self._state = "idle"

    def note_settling(self, state: str) -> None:
        """The engine is in another state; called on its loop by the state hook."""
        if state == "idle":
            self._plan_itself = None
            self._clean_up_end.take_back()
        elif self._plan_itself is None:
            self._plan_itself = self._plan_stack[0]
        if state == "pausing":
            self._settled.clear()
        else:
            self._settled.set()
        if state in ENDING:
            self._clean_up_end.within(self.clean_up)

    # -- what an interruption left half done -----------------------------------------------------------------

    async def _declare_stream(self, msg: Msg) -> Any:
        self._forget_halves()
        return await super()._declare_stream(msg)

    async def _read(self, msg: Msg) -> Any:
        self._forget_halves()
        return await super()._read(msg)

    def _forget_halves(self) -> None:
        """Ask devices anew whose configuration was described, but not read."""
        for bundler in self._run_bundlers.values():
            for cache in (bundler._current_stream_cache, *bundler._saved_stream_cache.values()):
                for device in cache.config_desc_cache.keys() - cache.config_values_cache.keys():
                    del cache.config_desc_cache[device]

    # -- from other threads ---------------------------------------------------------------------------------

    def abort(self, reason: str = "") -> RunEngineResult:
        """End the plan as aborted, with its clean-up; see ``bluesky.RunEngine``."""
        return self._interrupt(lambda: self._abort_coro(reason))

    def stop(self) -> RunEngineResult:
        """End the plan as a success, with its clean-up; see ``bluesky.RunEngine``."""
        return self._interrupt(self._stop_coro)

    def halt(self) -> RunEngineResult:
        """End the plan as aborted, without its clean-up or what is left of it; see ``bluesky.RunEngine``."""
        return self._interrupt(self._halt_coro, settle=False)

    def resume(self) -> RunEngineResult:
        """Go on after a pause, from the last checkpoint; see ``bluesky.RunEngine``."""
        with self._resuming():
            return cast(RunEngineResult, super().resume())

    def _on_loop(self, coroutine: Any) -> Any:
        if self.state == "panicked":
            coroutine.close()
            raise RuntimeError("the RunEngine is panicked and cannot be recovered: start the session anew")
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def _interrupt(self, end: Callable[[], Awaitable[Any]], *, settle: bool = True) -> RunEngineResult:
        was_paused, result = self._on_loop(self._take_down(end, settle=settle))
        if was_paused:
            self._resume_task()
        return cast(RunEngineResult, result)

    @contextmanager
    def _resuming(self) -> Iterator[None]:
        """An abort waits meanwhile: bluesky prepares the stack of plans in the caller's thread."""
        self._on_loop(self._claim_pause())
        try:
            yield
        finally:  # also when it never came to run
            self.loop.call_soon_threadsafe(lambda: self.note_settling(str(self._state)))

    def answers(self) -> bool:
        """Whether its loop does what it is given. Not from the loop; one that hangs is waited for once, 10 s."""
        if self._question is None:
            self._question = threading.Event(), time.monotonic() + ANSWERS
            try:
                self.loop.call_soon_threadsafe(self._question[0].set)
            except RuntimeError as error:
                logger.info("the event loop is closed: %s", error)
                self._question = None
                return False
        answered, end = self._question
        if not answered.wait(max(0.0, end - time.monotonic())):
            return False
        self._question = None
        return True

    # -- on the engine's loop -------------------------------------------------------------------------------

    async def _claim_pause(self) -> None:
        if self._state == "paused" and self._settled.is_set():
            self._settled.clear()  # until the plan runs
        else:
            raise TransitionError(f"only a paused plan can be resumed; the RunEngine is {self._state}")

    async def _take_down(self, end: Callable[[], Awaitable[Any]], *, settle: bool) -> tuple[bool, Any]:
        if settle:  # taken down in mid-pause, a plan would lose its clean-up
            await self._settle()
            self._refuse_late("taken down")
        else:
            self._refuse_when_over("halted")
        was_paused = self._state == "paused"
        return was_paused, await end()

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(SETTLING):
                while not self._settled.is_set():
                    await self._settled.wait()
        except TimeoutError:
            raise TransitionError(f"the RunEngine is still {self._state} after {SETTLING:g} s") from None

    async def _request_pause_coro(self, defer: bool = False) -> None:
        self._refuse_late("paused")
        await super()._request_pause_coro(defer)

    def _refuse_late(self, what: str) -> None:
        if self._state in ENDING:
            raise TransitionError(
                f"the plan is being taken down already ({self._state}) and cannot be {what}; halt ends it at once"
            )
        self._refuse_when_over(what)

    def _refuse_when_over(self, what: str) -> None:
        if self._state != "idle" and self._is_over:
            raise TransitionError(f"the plan has just ended and cannot be {what}")

    @property
    def _is_over(self) -> bool:
        """Whether nothing of the plan is left but the engine's own clean-up."""
        # A suspension puts its message on the stack also when nothing is left there.
        return self._pardoned or not any(plan is self._plan_itself for plan in self._plan_stack)

    # -- plans that do not end by themselves ------------------------------------------------------------------

    async def _halt_coro(self) -> Any:
        if self._state in ENDING:
            result = self._create_result(self.NO_PLAN_RETURN)
        else:
            result = await super()._halt_coro()
        self._leave()
        return result

    def _clean_up_took_too_long(self) -> None:
        self._leave("its clean-up took too long")

    def _leave(self, why: str = "") -> None:
        """End the plan that is being taken down without any more of it."""
        if not self._plan_stack or self._pardoned:
            return  # what is left is the engine's own clean-up
        if why:
            logger.error("the plan is left: %s; look at the bench", why)
            self._reason = self._reason or why
        leave(self._plan_stack)
        self._plan_itself = self._plan_stack[0]
        if self._task is not None:
            self._task.cancel()

    @property
    def _pardoned(self) -> bool:
        """Whether the engine's own clean-up has begun."""
        return cast(asyncio.Event, self._pardon_failures).is_set()

    # -- suspenders interrupt without asking ----------------------------------------------------------------

    async def _start_suspender(self, msg: Msg) -> None:
        if self._state not in ENDING:  # a clean-up waits for no condition
            await super()._start_suspender(msg)

    async def _all_conditions_good(self) -> None:
        """Wait for every suspender: of several that tripped, bluesky waits for the last one only."""
        while waits := [wait for suspender in self.suspenders for wait in suspender.get_futures()[0]]:
            for wait in waits:
                await wait()

    def _may_cancel(self) -> bool:
        if not self._is_over:
            return True
        if self._state == "suspending":
            self._state = "running"  # "idle" comes next, and bluesky allows no way there from "suspending"
        return False

    @property  # type: ignore[override]  # an attribute of bluesky's, said to be None
    def _task(self) -> _Cancellable | None:
        """What bluesky cancels to interrupt a plan."""
        return self._cancellable

    @_task.setter
    def _task(self, task: asyncio.Task[Any] | None) -> None:
        self._cancellable = None if task is None else _Cancellable(task, self._may_cancel)


class _Cancellable:
    """The engine's task, which is not to be cancelled while it cleans up."""

    def __init__(self, task: asyncio.Task[Any], allowed: Callable[[], bool]) -> None:
        self._task = task
        self._allowed = allowed

    def cancel(self) -> None:
        """Wake the task for an interruption, unless its plan is over."""
        if self._allowed():
            self._task.cancel()
