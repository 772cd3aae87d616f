"""Plans for clients: one at a time on a thread of its own, told from its beginning to its end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from bluesky import RunEngineInterrupted

from rdaq_ophyd.errors import EngineBusy, UnknownName
from rdaq_ophyd.progress import Progress
from rdaq_ophyd.startup import PlanProgress, RigRunEngine
from rdaq_ophyd.wire import messages

from ._flow import Flow, What

SETTLED = frozenset({"idle", "paused", "running", "panicked"})
"""States that last; the others are on the way to one of them."""
SETTLING = 90.0
"""Seconds that a pause or an end is waited for before the state is told as it is."""
KEPT = 8
"""Plans that a client can follow again, the latest ones."""


class Runs:
    """What the RunEngine does, for callers on another loop.

    :param engine: subscribed to; a person at a prompt may use it too.
    :param loop: the callers' loop.
    """

    def __init__(self, engine: RigRunEngine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine, self._loop = engine, loop
        self._pool = ThreadPoolExecutor(1, "plans")
        self._flow: Flow | None = None
        self._flows: OrderedDict[str, Flow] = OrderedDict()
        self._progress: dict[str, Progress] = {}
        self._progress_lock = threading.Lock()
        self._jobs = 0
        self._idle = str(engine.state) == "idle"  # as it told last: what it is by now may be ahead of its documents
        self._changed = asyncio.Condition()
        self.plan = ""
        self.run_uid, self.scan_id = "", 0
        self._token = engine.subscribe(self._on_document)
        engine.observers.append(self._on_state)
        engine.turns.observers.append(self._on_hands)
        self._hook = PlanProgress(engine, self._on_progress)

    def close(self) -> None:
        """Listen no more; a plan under way goes on."""
        self._hook.close()
        self._engine.unsubscribe(self._token)
        self._engine.observers.remove(self._on_state)
        self._engine.turns.observers.remove(self._on_hands)
        self._pool.shutdown(wait=False)

    # -- what the engine tells, in its own threads -----------------------------------------------------------

    def _tell(self, call: Callable[..., object], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # a plan may outlast the server and its loop
            self._loop.call_soon_threadsafe(call, *args)

    def _on_state(self, state: str) -> None:
        self._tell(self._take_state, state)

    def _on_hands(self) -> None:
        self._tell(self._take_hands)

    def _on_document(self, name: str, document: dict[str, Any]) -> None:
        if name in ("start", "stop"):
            self._tell(self._take_document, name, document)

    def _on_progress(self, progress: Progress) -> None:
        with self._progress_lock:
            first = not self._progress
            self._progress[progress.name] = progress  # the latest of each is enough, however often it moves
        if first:
            self._tell(self._take_progress)

    def _take_progress(self) -> None:
        with self._progress_lock:
            latest, self._progress = self._progress, {}
        if self._flow is not None:
            for progress in latest.values():
                self._flow.progress(progress)

    def _take_document(self, name: str, document: dict[str, Any]) -> None:
        if name == "start":
            self.run_uid, self.scan_id = document["uid"], int(document.get("scan_id") or 0)
            self.plan = self.plan or str(document.get("plan_name", ""))
        elif document["run_start"] == self.run_uid:
            self.run_uid, self.scan_id = "", 0
        if self._flow is not None:
            self._flow.document(name, document)

    def _take_state(self, state: str) -> None:
        self._idle = state == "idle"
        if self._flow is not None:
            self._flow.state(state)
            if state == "idle" and not self._jobs:
                self._flow.end_interrupted()
        if state == "idle" and not self._jobs:
            self.plan, self._flow = "", None
        self._loop.create_task(self._notify())

    def _take_hands(self) -> None:
        self._loop.create_task(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def changed(self, seconds: float) -> None:
        """Wait until the engine's state changes, or what is moved by hand; at most so long."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait()
        except TimeoutError:
            return

    # -- what callers ask -----------------------------------------------------------------------------------

    @property
    def engine_state(self) -> str:
        """The engine's, in which a plan runs from when it was begun."""
        return "running" if self._is_beginning else str(self._engine.state)

    @property
    def _is_beginning(self) -> bool:
        return str(self._engine.state) == "idle" and bool(self._engine.turns.plan)

    def check_free(self, name: str) -> None:
        """Refuse what cannot begin now.

        :raises EngineBusy: a plan is under way, or something is moved by hand.
        """
        if self._jobs or self._flow is not None or str(self._engine.state) != "idle":
            raise EngineBusy(
                f"{name} was not begun: {self.plan or 'a plan'} is {self.engine_state}", hint="wait, or end that one"
            )
        self._engine.turns.check(name)

    async def run(
        self,
        name: str,
        plan: Any,
        md: dict[str, Any],
        printed: Callable[[Callable[[str], object]], object] | None = None,
    ) -> AsyncIterator[messages.RunEvent]:
        """Run a plan, and tell what becomes of it. Whoever stops listening leaves it running.

        :param printed: called with what is to get each line that the plan prints.
        :raises EngineBusy: another one is under way, or something is moved by hand.
        """
        turns = self._engine.turns
        if str(self._engine.state) == "idle":
            # One that has ended in this moment.
            await self._until(lambda: not (self._jobs or turns.is_returning))
        try:
            self.check_free(name)
            turns.take(name)
        except EngineBusy:
            plan.close()
            raise
        flow = self._flow = self._flows[uuid.uuid4().hex] = Flow()
        while len(self._flows) > KEPT:
            self._flows.popitem(last=False)
        self.plan = name
        flow.tell(what=What.BEGUN, id=next(reversed(self._flows)))
        if printed is not None:
            printed(flow.output)
        try:
            self._job(lambda: self._engine.run_taken(plan, **md), flow)
        except RuntimeError:  # the server is closing
            turns.give_back()
            plan.close()
            raise
        async for event in flow.events():
            yield event

    async def follow(self, plan_id: str, since: int) -> AsyncIterator[messages.RunEvent]:
        """What a plan told since, and tells until its end.

        :raises UnknownName: no such plan was begun here, or too many since.
        """
        if (flow := self._flows.get(plan_id)) is None:
            raise UnknownName(
                f"no plan with id {plan_id!r} was begun here lately",
                hint="was the server started anew? then it is over; the catalog has what it recorded",
            )
        async for event in flow.events(since):
            yield event

    async def resume(self, accept_changes: str | None, told: str | None = None) -> None:
        """Go on; returns when the plan goes on.

        :param told: the refusal that ``accept_changes`` answers.
        :raises ResumeRefused: something changed since.
        """
        if (state := str(self._engine.state)) != "paused":
            raise EngineBusy(f"no plan is paused: the engine is {state}", hint="begin one, or wait until it is paused")
        running = asyncio.create_task(self._until(lambda: str(self._engine.state) != "paused"))
        job = self._job(
            lambda: self._engine.resume(accept_changes=accept_changes, told=told), self._flow, may_be_refused=True
        )
        either: list[asyncio.Future[Any]] = [job, running]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        if job.done() and (error := job.result()) is not None:
            raise error

    async def pause(self, *, at_checkpoint: bool) -> None:
        """Pause; returns when it is paused, or the plan has ended."""
        await self._until(lambda: not self._is_beginning)
        self._check_under_way("paused")
        await asyncio.to_thread(self._engine.request_pause, defer=at_checkpoint)
        if not at_checkpoint:
            await self._until(lambda: str(self._engine.state) in SETTLED - {"running"})

    async def end(self, how: Callable[[], object]) -> None:
        """Finish, abort or halt; returns when the plan has ended."""
        await self._until(lambda: not self._is_beginning)
        self._check_under_way("ended")
        await asyncio.to_thread(how)
        await self._until(lambda: str(self._engine.state) in SETTLED - {"running", "paused"} and not self._jobs)

    def _check_under_way(self, done: str) -> None:
        if str(self._engine.state) == "idle":
            raise EngineBusy(f"no plan can be {done}: the engine is idle", hint="begin one, or look at the state")

    async def _until(self, condition: Callable[[], bool]) -> None:
        end = self._loop.time() + SETTLING
        while not condition() and self._loop.time() < end:
            await self.changed(0.1)

    def _job(
        self, call: Callable[[], Any], listener: Flow | None, *, may_be_refused: bool = False
    ) -> asyncio.Future[Exception | None]:
        """Let the plans' thread do it; the result is why it was refused.

        No task: a plan that outlasts this loop leaves none behind.
        """
        done = self._loop.create_future()
        flow = listener or Flow()  # of a plan that a person began nobody here hears
        job = self._pool.submit(call)
        self._jobs += 1
        job.add_done_callback(lambda job: self._tell(self._take_end, job, flow, done, may_be_refused))
        return done

    def _take_end(
        self, job: Future[Any], flow: Flow, done: asyncio.Future[Exception | None], may_be_refused: bool
    ) -> None:
        self._jobs -= 1
        error, refused = job.exception(), None
        if isinstance(error, RunEngineInterrupted):
            if self._idle:  # else it is paused, or was, and goes on
                # bluesky says how to go on after a pause, whatever it was that interrupted.
                flow.end_interrupted("" if str(error) == self._engine.pause_msg else str(error))
        elif error is None:
            flow.end_well(job.result())
        elif may_be_refused and isinstance(error, Exception) and str(self._engine.state) == "paused":
            refused = error
        else:
            flow.end_failed(error)
        if self._idle:
            self.plan, self._flow = "", None
        if not done.done():
            done.set_result(refused)
        self._loop.create_task(self._notify())
