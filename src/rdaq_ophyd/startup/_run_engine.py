"""One RunEngine set-up for all doors."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Generator, MutableMapping
from typing import Any, cast

from bluesky import Msg, RunEngine, RunEngineInterrupted
from bluesky.protocols import Status, Stoppable
from bluesky.run_engine import RunEngineResult
from bluesky.utils import Plan, ProgressBarManager, ensure_generator
from ophyd_async.core import Device

from rdaq_ophyd.errors import EngineBusy, RdaqError, ResumeRefused, StopLatched
from rdaq_ophyd.stop import latch, pause

from ._attentive import AttentiveDuringTask
from ._halting import halt_all, stop_one
from ._held import HeldStates, is_told
from ._leaving import Commands
from ._one_stream import OneStreamBundler
from ._orderly import ANSWERS, ENDING, OrderlyRunEngine
from ._plan_end import STOPPED, PlanEnd, latch_mark, stops
from ._statuses import Statuses
from ._turns import Turns

__all__ = ["RigRunEngine", "make_run_engine", "stop_loop"]
logger = logging.getLogger(__name__)

NOT_RESUMED = "not resumed: "
RETURNING = 5.0
"""Seconds that a plan waits for the call of one that is over to return: tables and bars are drawn to their end."""
#: States in which it has begun to take a plan down: axes stop before the plan's own clean-up runs.
STOPPING = ENDING | {"pausing", "suspending"}


class RigRunEngine(OrderlyRunEngine):
    """A RunEngine that stops the devices first, whatever takes a plan down.

    The stops are on the wire before the plan's own clean-up runs. A move that ends because of them does not count
    as a failure of the plan: the pause can be resumed, and an aborted run says ``abort``, with its clean-up whole.

    :param devices: the rig's devices at the time of the call.
    :ivar signal: the last one that interrupted a plan, 0 for none.
    :ivar observers: called with each new state, in the thread that changed it; they must not wait.
    :ivar turns: whose turn it is, a plan's or that of hands.
    :ivar stopped_clean_up: seconds that a plan's clean-up may take after a stop-all.
    """

    stopped_clean_up = STOPPED
    RunBundler = OneStreamBundler
    state_hook: Any
    waiting_hook: Any

    def __init__(self, *args: Any, devices: Callable[[], Collection[Device]], **kwargs: Any) -> None:
        self._devices = devices
        self._statuses = Statuses()
        self._doing = "idle"
        self._to_follow = False
        self._mark: object = None
        self._stops: object = None
        self._ends_by_stop = False
        self.signal = 0
        self.turns = Turns(lambda: str(self._state))
        during = AttentiveDuringTask()
        super().__init__(*args, context_managers=[], during_task=during, call_returns_result=True, **kwargs)
        self._command_registry = Commands(self._command_registry, self._instead)
        self._held = HeldStates(lambda: [*self._devices(), *self._seen()])
        self.plan_end = PlanEnd(self)
        self.record_interruptions = True
        self.observers: list[Callable[[str], None]] = []
        self.state_hook = self._on_state

    # -- the doors ------------------------------------------------------------------------------------------

    def __call__(self, /, *args: Any, **kwargs: Any) -> RunEngineResult:
        """Run a plan; see ``bluesky.RunEngine``.

        :raises StopLatched: everything was stopped; nothing was touched.
        :raises EngineBusy: another plan is under way, or something is moved by hand.
        :raises bluesky.RunEngineInterrupted: it was paused, or ended early.
        """
        name = str(getattr(args[0], "__name__", "a plan")) if args else "a plan"
        try:
            latch.check("a plan")
            self.turns.take(name, wait=RETURNING)
        except (StopLatched, EngineBusy):
            _close(args)
            raise
        return self.run_taken(*args, **kwargs)

    def run_taken(self, /, *args: Any, **kwargs: Any) -> RunEngineResult:
        """Run a plan for which ``turns.take`` has taken the turn; the rest is as by a call."""
        with self.turns.call(lambda: self._doing in ("idle", "panicked")):
            marks = latch_mark(), stops()  # before the look at the latch: what comes later ends this plan
            try:
                latch.check("a plan")
            except StopLatched:
                _close(args)
                raise
            self._mark, self._stops = marks
            self._ends_by_stop = False
            return self._told(super().__call__, *args, **kwargs)

    def resume(self, *, accept_changes: str | None = None, told: str | None = None) -> RunEngineResult:
        """Go on after a pause, from the last checkpoint; see ``bluesky.RunEngine``.

        :param accept_changes: why it is right to go on although a shutter or a laser is not as it was; recorded.
        :param told: the refusal that this answers: what has changed besides is refused anew; None: nothing is.
        :raises StopLatched: everything was stopped.
        :raises ResumeRefused: a shutter or a laser changed since, a condition is not good, or there was a stop-all.
        """
        latch.check("resuming the plan")
        if accept_changes is not None and not accept_changes.strip():
            raise RdaqError("accept_changes needs a reason", hint="say why; it is recorded in the run")
        if self._doing == "paused":
            self._check_resume(accept_changes, told)
        try:
            with self.turns.call(lambda: False):
                return self._told(super().resume)
        finally:
            if self._doing == "paused":
                pause.set()

    async def _claim_pause(self) -> None:
        await super()._claim_pause()
        pause.clear()  # before the devices are told to resume

    def _told(self, run: Callable[..., Any], /, *args: Any, **kwargs: Any) -> RunEngineResult:
        self._to_follow = False
        try:
            return cast(RunEngineResult, run(*args, **kwargs))
        except RunEngineInterrupted as error:
            if not latch.tripped:
                raise
            self.plan_end.wait()
            raise RunEngineInterrupted(
                f"the plan is over: {latch.why}; look at the bench, then `rdaq reset REASON` and start it anew"
            ) from error

    def _check_resume(self, accepted: str | None, refusal: str | None) -> None:
        if self._mark != latch_mark():
            raise ResumeRefused(
                "everything was stopped since this plan began; it is over", hint="abort it, then start it anew"
            )
        asked = asyncio.run_coroutine_threadsafe(self._held.changes(), self.loop)
        changes = asked.result() + [why for s in self.suspenders if (why := s.get_futures()[1])]
        if not changes:
            return
        told = "; ".join(changes)
        known = changes if refusal is None else [c for c in changes if is_told(c, refusal.removeprefix(NOT_RESUMED))]
        if accepted is None or known != changes:
            error = ResumeRefused(
                f"{NOT_RESUMED}{told}",
                hint="put it back and resume again, or RE.resume(accept_changes='why that is right'), or RE.abort()",
            )
            error.about = "accept_changes"  # each door says in its own words how
            raise error
        logger.warning("resumed because %s, although %s", accepted, told)
        for run in self._run_bundlers.values():
            run.record_interruption(f"changes accepted: {accepted} ({told})")

    # -- stops ----------------------------------------------------------------------------------------------

    @property
    def in_progress(self) -> bool:
        """Whether there is a plan to abort: one that runs or is paused, and is not being taken down already."""
        return self._doing not in ENDING | {"idle", "panicked"}

    @property
    def is_its_thread(self) -> bool:
        """Whether this is the thread of its loop, in which nobody may wait for a plan."""
        return threading.current_thread() is self._th

    @property
    def busy(self) -> bool:
        """Whether a plan runs now. Takes no lock: for signal handlers."""
        return self._doing not in ("idle", "paused", "panicked")

    def expect_end(self) -> None:
        """A stop is about to be written, and a pause or an abort will follow. From any thread, without a lock."""
        self._to_follow = self._doing == "running"
        self._statuses.note_halt()

    def hasten(self) -> None:
        """A stop-all is to end the plan: its clean-up gets less time. On the engine's loop."""
        self._ends_by_stop = True
        if self._doing in ENDING:
            self._clean_up_end.within(self.stopped_clean_up)

    def _instead(self) -> Any:
        """Who does a message in place of the one that is there for it: nobody, once a stop-all came and was reset."""
        if self._stops == stops() or self._is_over:
            return None
        if self._doing not in ENDING:
            self.plan_end.begin()
        elif latch.tripped:
            return None  # of the clean-up, what is safe
        else:
            self._leave("the stop-all that ended it was reset")
        return _until_cancelled

    def _note_stops(self, state: str) -> None:
        if self._stops == stops() or state not in ENDING:
            return
        if latch.tripped or self._ends_by_stop:
            self.hasten()
        else:
            self._stops = stops()  # it was reset before somebody asked for this end: the clean-up is wanted

    def halt_axes(self) -> None:
        """Put the stop of every device on its wire, before a pause or an abort. Thread-safe; waits for nothing."""
        self.expect_end()  # before the stops: a status that fails because of them must be known as halted already
        halt_all(self._devices(), self._seen())

    def _seen(self) -> list[Any]:
        """What the plan has touched; the loop may add one meanwhile, and a signal handler must not wait for a lock."""
        for _ in range(100):
            try:
                return [obj for obj in (*self._objs_seen, *self._movable_objs_touched) if obj is not None]
            except RuntimeError:  # a set changed during the iteration
                continue
        return []

    def _halt_companions(self, failed: Status | None) -> None:
        self._statuses.note_failure(failed)
        halt_all(self._devices(), self._seen())

    def _on_state(self, new: str, old: str) -> None:
        try:
            self._follow_state(new, old)
        except Exception:  # raising here would lose the abort that is under way
            logger.exception("the change to %r", new)
        for observer in list(self.observers):
            try:
                observer(new)
            except Exception:  # likewise
                logger.exception("told of the change to %r", new)

    def _follow_state(self, new: str, old: str) -> None:
        self._doing = new
        if new in ("pausing", "suspending"):
            pause.set()  # before the halts: cameras that stop now will go on
        elif new in ENDING or new == "idle":
            pause.clear()
        if new in ENDING or new == "idle" or (old, new) == ("paused", "running"):
            self._held.forget()
        self.note_settling(new)
        self._note_stops(new)
        if new in STOPPING:
            self.halt_axes()
        if new != "running":
            self._to_follow = False
            self._statuses.release()
        elif self._stops != stops():  # between the check and here
            self.plan_end.begin()
        if new == "idle":
            self._statuses.clear()
            self.turns.end_with(cast(Any, self._task_fut))

    # -- bluesky's hooks ------------------------------------------------------------------------------------

    def _add_status_to_group(self, obj: Any, status_object: Status, group: str, action: str) -> None:
        self._statuses.add(status_object)
        super()._add_status_to_group(obj, status_object, group, action)

    def _status_object_completed(self, ret: Status, fut: Any, pardon_failures: Any) -> None:
        if ret.success or pardon_failures.is_set():
            super()._status_object_completed(ret, fut, pardon_failures)
        elif self._was_stopped(ret) or isinstance(ret.exception(0), StopLatched):
            self._interrupted_or_refused(ret, fut)
        elif ret in self._statuses.companions:
            self._statuses.fail_quietly(ret, fut)
        else:
            self._halt_companions(ret)
            super()._status_object_completed(ret, fut, pardon_failures)

    def _was_stopped(self, status: Status) -> bool:
        """Whether it failed because a pause or an abort stopped it, in whatever words its device says so."""
        if self._statuses.was_interrupted(status):
            return True
        taken_down = self._doing in ENDING or (self._to_follow and self._doing == "running")
        if taken_down and status in self._statuses.halted:
            logger.warning("while the plan is taken down: %s", status.exception(0))
            return True
        return False

    def _interrupted_or_refused(self, status: Status, fut: Any) -> None:
        """Not the plan's failure. Its clean-up goes on with what is allowed; a plan that is to end waits for that."""
        if isinstance(refused := status.exception(0), StopLatched):
            logger.warning("%s", refused)
            if self.in_progress:
                self._to_follow = True
                self.plan_end.begin()
        if self._to_follow and self._doing == "running":
            self._statuses.hold(fut)
        else:
            fut.set_result(None)

    async def _wait(self, msg: Msg) -> bool:
        group = msg.args[0] if msg.args else msg.kwargs["group"]
        waited = set(self._status_objs.get(group, ()))
        done: bool = await super()._wait(msg)
        self._statuses.raise_for(waited)
        return done

    async def _trigger(self, msg: Msg) -> Any:
        self._check_run(msg)
        return await super()._trigger(msg)

    async def _kickoff(self, msg: Msg) -> Any:
        self._check_run(msg)
        self._movable_objs_touched.add(msg.obj)  # bluesky itself stops only what was set
        return await super()._kickoff(msg)

    def _check_run(self, msg: Msg) -> None:
        if (bundler := self._run_bundlers.get(msg.run)) is not None:
            cast(OneStreamBundler, bundler).check_run(msg)

    async def _close_run(self, msg: Msg) -> Any:
        if reason := self._statuses.in_words(msg.kwargs.get("reason") or self._reason):
            msg = msg._replace(kwargs={**msg.kwargs, "reason": reason})  # else the run does not say why
        return await super()._close_run(msg)

    async def _start_suspender(self, msg: Msg) -> None:
        pre_plan, post_plan, justification, fut = msg.args
        if pre_plan is not None:  # what it does to the light is meant: that is how it has to be at the end
            pre_plan = self._then_note(pre_plan)
        await super()._start_suspender(msg._replace(args=(pre_plan, post_plan, justification, fut)))

    def _then_note(self, pre_plan: Any) -> Generator[Msg, Any, None]:
        yield from ensure_generator(pre_plan() if callable(pre_plan) else pre_plan)
        yield Msg("wait_for", None, [self._held.note_anew])

    async def _resume(self, msg: Msg) -> None:
        """The end of a suspension."""
        await self._all_conditions_good()
        if latch.tripped:
            self.plan_end.begin()
            await _until_cancelled()  # by the abort
        if changes := await self._held.changes():
            logger.error("the condition is good again, but %s: paused", "; ".join(changes))
            await self._request_pause_coro()
            await _until_cancelled()  # by the pause
        self._held.forget()
        pause.clear()
        await super()._resume(msg)

    async def _stop_movable_objects(self, *, success: bool = True) -> None:
        """Stop all at once, each with its own bound; bluesky does it one after another, without any."""
        if self._exit_status == "fail":
            self._halt_companions(None)
        found = [obj for obj in self._movable_objs_touched if isinstance(obj, Stoppable)]
        stops = [stop_one(obj, success=success) for obj in found]
        if self._doing == "pausing" or pause.is_set:
            # Meanwhile, not afterwards: what an interlock closes while the axes brake is a change.
            await asyncio.gather(self._held.note(), *stops)
        else:
            await asyncio.gather(*stops)


def _close(args: tuple[Any, ...]) -> None:
    if args and isinstance(args[0], Generator | Plan):
        args[0].close()  # else bluesky warns that somebody forgot to run it


async def _until_cancelled(*_message: Msg) -> None:
    await asyncio.Event().wait()


def make_run_engine(
    md: MutableMapping[str, Any],
    *,
    scan_id_source: Callable[[MutableMapping[str, Any]], int],
    devices: Callable[[], Collection[Device]],
    person: bool,
) -> RigRunEngine:
    """The RunEngine of a session.

    :param md: metadata, kept between sessions.
    :param person: show progress bars.
    """
    engine = RigRunEngine(md, scan_id_source=scan_id_source, devices=devices)
    if person:
        engine.waiting_hook = ProgressBarManager()
    return engine


def stop_loop(engine: RunEngine) -> None:
    """End the RunEngine's event loop and its thread; the engine is of no use afterwards."""
    loop, thread = engine.loop, engine._th  # bluesky starts this thread and has no way to end it
    loop.call_soon_threadsafe(loop.stop)
    thread.join(ANSWERS)
    if not thread.is_alive():
        loop.close()
