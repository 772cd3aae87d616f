"""Scripts from clients: loaded in a process of their own, then run as any other plan."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from rdaq_ophyd.errors import EngineBusy, StopLatched, TooOften
from rdaq_ophyd.scripts import Script, ScriptLimits, Source, remove_left
from rdaq_ophyd.startup import Session
from rdaq_ophyd.stop import latch
from rdaq_ophyd.wire import messages

from ._flow import What
from ._runs import Runs

EARLY = 1000
"""Lines that a script may print before its plan begins; the first of more are left out."""
MINUTE = 60.0
TIDY = 5.0
"""Seconds for which the end waits for old folders to be removed."""


class Scripts:
    """For callers on another loop than the engine's.

    :param session: whose rig it is.
    :param runs: that run the plans.
    :param limits: of each script.
    """

    def __init__(self, session: Session, runs: Runs, limits: ScriptLimits) -> None:
        self._session, self._runs, self._limits = session, runs, limits
        self._loading = ""
        self._begun: deque[float] = deque()
        self._last: Script | None = None
        # Of a rig that was killed; a script may have left much, which nobody has to wait for.
        self._tidying = threading.Thread(target=remove_left, name="script-folders", daemon=True)
        self._tidying.start()
        session.at_close(self._end)

    async def run(self, request: messages.RunScriptRequest, md: dict[str, Any]) -> AsyncIterator[messages.RunEvent]:
        """Run a script, and tell what becomes of it. Whoever stops listening leaves its plan running.

        :param md: for the start document.
        :raises LimitError: it is no script, or one of its arguments is none.
        :raises TooOften: more scripts than a minute may have.
        :raises EngineBusy: a plan is under way, or another script is being loaded.
        :raises ScriptFailed: its process did not get so far.
        """
        source = Source(request.name, request.source, tuple(request.arguments))
        source.check(self._limits)
        self._check(source.name)
        printed, trips = Printed(), latch.trips
        script = await self._loaded(source, printed)
        self._last = script
        if script.plan is None:
            async for event in _only_printed(printed):
                yield event
            return
        try:
            check_not_stopped_since(trips, source.name)
            self._check(source.name)
            events = self._runs.run(source.name, script.plan, {**md, "script": source.record}, printed.attach)
            first = await anext(events)
        except BaseException:
            script.discard()
            raise
        yield first
        async for event in events:
            yield event

    def _end(self) -> None:
        """The session is over, and the script with it that may still run."""
        self._tidying.join(TIDY)
        if self._last is not None:
            self._last.discard()

    def _check(self, name: str) -> None:
        latch.check(name)
        self._runs.check_free(name)

    async def _loaded(self, source: Source, printed: Printed) -> Script:
        if self._loading:
            raise EngineBusy(f"{source.name} was not begun: {self._loading} is being loaded", hint="wait for that one")
        self._count(source.name)
        self._loading = source.name
        loading = Script.load(source, self._session.rig, self._limits, printed)
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(loading, self._session.RE.loop))
        finally:
            self._loading = ""

    def _count(self, name: str) -> None:
        now = time.monotonic()
        while self._begun and now - self._begun[0] > MINUTE:
            self._begun.popleft()
        if len(self._begun) >= self._limits.a_minute:
            wait = MINUTE - (now - self._begun[0])
            raise TooOften(
                f"{name} was not begun: {self._limits.a_minute} scripts within a minute", hint=f"wait {wait:.0f} s"
            )
        self._begun.append(now)


def check_not_stopped_since(trips: int, name: str) -> None:
    """Refuse what was being loaded when everything was stopped: a reset begins nothing.

    :param trips: of the latch, when it was asked for.
    :raises StopLatched: that was so.
    """
    latch.check(name)
    if latch.trips != trips:
        raise StopLatched(f"{name} was not begun: everything was stopped while it was loaded", hint="begin it again")


class Printed:
    """Lines that a script prints, from its keeper's thread to whoever is listening on this loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.early: deque[str] = deque(maxlen=EARLY)
        self._tell: Callable[[str], object] = self.early.append

    def __call__(self, line: str) -> None:
        """Take a line."""
        with contextlib.suppress(RuntimeError):  # a server may end before the plan
            self._loop.call_soon_threadsafe(lambda: self._tell(line))

    def attach(self, tell: Callable[[str], object]) -> None:
        """Give all lines, from the first on."""
        for line in self.early:
            tell(line)
        self._tell = tell


async def _only_printed(printed: Printed) -> AsyncIterator[messages.RunEvent]:
    """Of a script that was asked for its options."""
    await asyncio.sleep(0)  # the last lines are on their way
    yield messages.RunEvent(what=What.BEGUN)
    for line in printed.early:
        yield messages.RunEvent(what=What.OUTPUT, output=line)
    yield messages.RunEvent(what=What.ENDED, exit_status="success", result="None")
