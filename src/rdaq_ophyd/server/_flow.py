"""One plan that was begun for a client, as its callers hear of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from rdaq_ophyd.progress import Progress
from rdaq_ophyd.wire import error_message, messages

from ._guard import in_words

__all__ = ["Flow", "What"]
What = messages.RunEvent.What
RESULT_CHARACTERS = 10_000
PRINTED = 10_000
"""Lines of a plan's output that are kept for its listeners."""
ENDED = {
    "stopping": ("success", "finished early"),
    "aborting": ("abort", "aborted"),
    "halting": ("abort", "halted"),
}
"""By the state in which the engine takes a plan down: what becomes of it, and in words where no run was open."""


class Flow:
    """What a plan told, from its beginning to its end, and whoever hears of it. On the callers' loop."""

    def __init__(self) -> None:
        self._told: list[messages.RunEvent | None] = []
        self._printed: deque[int] = deque()
        self._listeners: set[_Listener] = set()
        self._uids: list[str] = []
        self._stop: dict[str, Any] = {}
        self._paused = False
        self._taken_down = ""
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
        elif state in ENDED:
            self._taken_down, self._stop = state, {}  # the stop of a run before says nothing of this end

    def end_well(self, result: Any) -> None:
        self._end(result.exit_status, result.reason, result=str(result.plan_result)[:RESULT_CHARACTERS])

    def end_failed(self, error: BaseException) -> None:
        """It failed, or was refused."""
        told = in_words(error)
        self._end("fail", str(told), error=error_message(told))

    def end_interrupted(self, why: str = "") -> None:
        """Finished early, aborted or halted, here or by a person or a stop-all; a run that was open says how."""
        status, words = ENDED.get(self._taken_down, ENDED["aborting"])
        reason = self._stop.get("reason", "") or why.strip().split("\n")[0]
        self._end(self._stop.get("exit_status", status), reason or ("" if self._stop else words))

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
