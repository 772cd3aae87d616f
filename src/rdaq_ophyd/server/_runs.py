"""Plans for clients: one at a time on a thread of its own, told from its beginning to its end."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bluesky import RunEngineInterrupted

from rdaq_ophyd.errors import EngineBusy, UnknownName
from rdaq_ophyd.progress import Progress
from rdaq_ophyd.startup import PlanProgress, RigRunEngine
from rdaq_ophyd.wire import error_message, messages

from ._guard import in_words

logger = logging.getLogger(__name__)
What = messages.RunEvent.What
SETTLED = frozenset({"idle", "paused", "running", "panicked"})
"""States that last; the others are on the way to one of them."""
RESULT_CHARACTERS = 10_000
PRINTED = 10_000
"""Lines of a plan's output that are kept for its listeners."""
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
        self._flow: _Flow | None = None
        self._flows: OrderedDict[str, _Flow] = OrderedDict()
        self._progress: dict[str, Progress] = {}
        self._progress_lock = threading.Lock()
        self._jobs = 0
        self._idle = str(engine.state) == "idle"  # as it told last: what it is by now may be ahead of its documents
        self._changed = asyncio.Condition()
        self.plan = ""
        self.run_uid, self.scan_id = "", 0
        self._token = engine.subscribe(self._on_document)
        engine.observers.append(self._on_state)
        self._hook = PlanProgress(engine, self._on_progress)

    def close(self) -> None:
        """Listen no more; a plan under way goes on."""
        self._hook.close()
        self._engine.unsubscribe(self._token)
        self._engine.observers.remove(self._on_state)
        self._pool.shutdown(wait=False)

    # -- what the engine tells, in its own threads -----------------------------------------------------------

    def _on_state(self, state: str) -> None:
        self._loop.call_soon_threadsafe(self._take_state, state)

    def _on_document(self, name: str, document: dict[str, Any]) -> None:
        if name in ("start", "stop"):
            self._loop.call_soon_threadsafe(self._take_document, name, document)

    def _on_progress(self, progress: Progress) -> None:
        with self._progress_lock:
            first = not self._progress
            self._progress[progress.name] = progress  # the latest of each is enough, however often it moves
        if first:
            self._loop.call_soon_threadsafe(self._take_progress)

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
                self._flow.end_elsewhere()
        if state == "idle" and not self._jobs:
            self.plan, self._flow = "", None
        self._loop.create_task(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def changed(self, seconds: float) -> None:
        """Wait until the engine's state changes, at most so long."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait()
        except TimeoutError:
            return

    # -- what callers ask -----------------------------------------------------------------------------------

    def check_free(self, name: str) -> None:
        """Refuse what cannot begin now.

        :raises EngineBusy: a plan is under way.
        """
        if self._jobs or self._flow is not None or str(self._engine.state) != "idle":
            raise EngineBusy(
                f"{name} was not begun: {self.plan or 'a plan'} is {self._engine.state}", hint="wait, or end that one"
            )

    async def run(
        self,
        name: str,
        plan: Any,
        md: dict[str, Any],
        printed: Callable[[Callable[[str], object]], object] | None = None,
    ) -> AsyncIterator[messages.RunEvent]:
        """Run a plan, and tell what becomes of it. Whoever stops listening leaves it running.

        :param printed: called with what is to get each line that the plan prints.
        :raises EngineBusy: another one is under way.
        """
        if str(self._engine.state) == "idle":
            await self._until(lambda: not self._jobs)  # of a plan that has ended in this moment
        try:
            self.check_free(name)
        except EngineBusy:
            plan.close()
            raise
        flow = self._flow = self._flows[uuid.uuid4().hex] = _Flow()
        while len(self._flows) > KEPT:
            self._flows.popitem(last=False)
        self.plan = name
        flow.tell(what=What.BEGUN, id=next(reversed(self._flows)))
        if printed is not None:
            printed(flow.output)
        self._job(lambda: self._engine(plan, **md), flow)
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

    async def resume(self, accept_changes: str | None) -> None:
        """Go on; returns when the plan goes on.

        :raises ResumeRefused: something changed since.
        """
        if (state := str(self._engine.state)) != "paused":
            raise EngineBusy(f"no plan is paused: the engine is {state}", hint="begin one, or wait until it is paused")
        running = asyncio.create_task(self._until(lambda: str(self._engine.state) != "paused"))
        job = self._job(lambda: self._engine.resume(accept_changes=accept_changes), self._flow, may_be_refused=True)
        await asyncio.wait([job, running], return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        if job.done() and (error := job.result()) is not None:
            raise error

    async def pause(self, *, at_checkpoint: bool) -> None:
        """Pause; returns when it is paused, or the plan has ended."""
        await asyncio.to_thread(self._engine.request_pause, defer=at_checkpoint)
        if not at_checkpoint:
            await self._until(lambda: str(self._engine.state) in SETTLED - {"running"})

    async def end(self, how: Callable[[], object]) -> None:
        """Finish, abort or halt; returns when the plan has ended."""
        await asyncio.to_thread(how)
        await self._until(lambda: str(self._engine.state) in SETTLED - {"running", "paused"} and not self._jobs)

    async def _until(self, condition: Callable[[], bool]) -> None:
        end = self._loop.time() + SETTLING
        while not condition() and self._loop.time() < end:
            await self.changed(0.1)

    def _job(
        self, call: Callable[[], Any], listener: _Flow | None, *, may_be_refused: bool = False
    ) -> asyncio.Task[Exception | None]:
        """Let the plans' thread do it; the task's result is why it was refused."""
        self._jobs += 1
        flow = listener or _Flow()  # of a plan that a person began nobody here hears

        async def work() -> Exception | None:
            try:
                result = await self._loop.run_in_executor(self._pool, call)
            except RunEngineInterrupted as error:
                if self._idle:  # else it is paused, or was, and goes on
                    flow.end_interrupted(error)
            except Exception as error:  # noqa: BLE001 told to whoever listens
                if may_be_refused and str(self._engine.state) == "paused":
                    return error
                flow.end_failed(error)
            else:
                flow.end_well(result)
            finally:
                self._jobs -= 1
                if self._idle:
                    self.plan, self._flow = "", None
                await self._notify()
            return None

        return self._loop.create_task(work())


class _Flow:
    """One plan that was begun here, as its caller hears of it."""

    def __init__(self) -> None:
        self._told: list[messages.RunEvent | None] = []
        self._printed: deque[int] = deque()
        self._listeners: set[_Listener] = set()
        self._uids: list[str] = []
        self._stop: dict[str, Any] = {}
        self._paused = False
        self.ended = False

    def tell(self, **fields: Any) -> None:
        self._told.append(messages.RunEvent(number=len(self._told) + 1, **fields))
        for listener in self._listeners:
            listener.news.set()

    def progress(self, progress: Progress) -> None:
        for listener in self._listeners:
            listener.progress[progress.name] = progress
            listener.news.set()

    async def events(self, since: int = 0) -> AsyncIterator[messages.RunEvent]:
        listener = _Listener()
        self._listeners.add(listener)
        try:
            while True:
                while since < len(self._told):
                    event, left_out = self._next(since)
                    if event.what == What.ENDED:
                        for progress in listener.latest():
                            yield progress
                    if left_out:
                        yield messages.RunEvent(what=What.OUTPUT, output=f"[{left_out} lines were left out]")
                    since = event.number
                    yield event
                    if event.what == What.ENDED:
                        return
                for progress in listener.latest():
                    yield progress
                if since >= len(self._told) and not listener.progress:
                    await listener.news.wait()
                listener.news.clear()
        finally:
            self._listeners.discard(listener)

    def _next(self, since: int) -> tuple[messages.RunEvent, int]:
        """The next event that is still kept, and how many are not that came before it."""
        for number in range(since, len(self._told)):  # the last one always is
            if (event := self._told[number]) is not None:
                return event, number - since
        raise LookupError(since)

    def output(self, line: str) -> None:
        """A line that the plan printed; of very many the last are kept, and those that are gone are counted."""
        self.tell(what=What.OUTPUT, output=line)
        self._printed.append(len(self._told) - 1)
        if len(self._printed) > PRINTED:
            self._told[self._printed.popleft()] = None

    def document(self, name: str, document: dict[str, Any]) -> None:
        if name == "start":
            self._uids.append(document["uid"])
            self.tell(what=What.RUN, run_uid=document["uid"], scan_id=int(document.get("scan_id") or 0))
        else:
            self._stop = document

    def state(self, state: str) -> None:
        if state == "paused":
            self._paused = True
            self.tell(what=What.PAUSED)
        elif state == "running" and self._paused:
            self._paused = False
            self.tell(what=What.RESUMED)

    def end_well(self, result: Any) -> None:
        self._end(result.exit_status, result.reason, result=str(result.plan_result)[:RESULT_CHARACTERS])

    def end_failed(self, error: Exception) -> None:
        error = in_words(error)
        self._end("fail", str(error), error=error_message(error))

    def end_interrupted(self, error: Exception) -> None:
        """Finished early, aborted or halted; the run says how, where there was one."""
        self._end(self._stop.get("exit_status", "abort"), self._stop.get("reason") or str(error).strip().split("\n")[0])

    def end_elsewhere(self) -> None:
        """A person, or a stop-all, ended the plan while it was paused."""
        self._end(self._stop.get("exit_status", "abort"), self._stop.get("reason", ""))

    def _end(self, status: str, reason: str, **fields: Any) -> None:
        if not self.ended:
            self.ended = True
            self.tell(what=What.ENDED, exit_status=status, reason=reason, run_uids=self._uids, **fields)


class _Listener:
    """Who hears of a plan: what it tells from a list that all share, how far it is by the latest of each name."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.progress: dict[str, Progress] = {}

    def latest(self) -> list[messages.RunEvent]:
        latest, self.progress = self.progress, {}
        return [messages.RunEvent(what=What.PROGRESS, progress=messages.Progress(**vars(p))) for p in latest.values()]
