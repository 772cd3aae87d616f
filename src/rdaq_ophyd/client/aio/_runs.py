"""A plan under way on a server, on an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from rdaq_ophyd.client._runs import Run, RunFacts
from rdaq_ophyd.wire import messages

from ._streams import AsyncLastingStream
from ._words import same_words


async def _nobody(_uids: list[str]) -> None:
    """Nobody listens."""


@same_words(Run)
@dataclass
class AsyncRun(RunFacts):
    """What becomes of a plan: iterate over it for its events, or ``await wait()``; see ``Run``."""

    stream: AsyncLastingStream[messages.RunEvent] = field(repr=False)
    delivered: Callable[[list[str]], Awaitable[object]] = field(default=_nobody, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        self._events = self._followed()

    def __aiter__(self) -> AsyncIterator[messages.RunEvent]:
        return self._events

    async def _followed(self) -> AsyncIterator[messages.RunEvent]:
        try:
            async for event in self.stream:
                if self._note(event):
                    yield event
        finally:
            self._over()
            await self.stream.close()

    async def wait(self) -> AsyncRun:
        async for _ in self:
            pass
        await self.delivered(self.uids)
        self.check()
        return self
