"""A plan under way on a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.progress import Bars, Progress
from rdaq_ophyd.wire import error_from, messages

from ._facts import progress as progress_of
from ._streams import LastingStream

KEPT = 10_000
"""Lines of a script's output."""
What = messages.RunEvent.What


class RunFailed(RdaqError):
    """A plan ended otherwise than in success; its cause is the error of the server, where there is one."""


def _nobody(_uids: list[str]) -> None:
    """Nobody listens."""


@dataclass
class RunFacts:
    """What is known of a plan.

    :ivar uids: of its runs, so far.
    :ivar exit_status: success, abort or fail; empty while it is under way.
    :ivar result: what the plan returned, as Python writes it.
    :ivar output: what a script printed, so far; of more than 10 000 lines the last ones.
    :ivar progress: how far what it waits for is, by name; ``points`` of its run.
    """

    name: str
    bars: Callable[[Progress], object] | None = field(default=None, repr=False, kw_only=True)
    uids: list[str] = field(default_factory=list, kw_only=True)
    exit_status: str = field(default="", kw_only=True)
    reason: str = field(default="", kw_only=True)
    result: str = field(default="", kw_only=True)
    error: RdaqError | None = field(default=None, kw_only=True)
    output: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT), repr=False, kw_only=True)
    progress: dict[str, Progress] = field(default_factory=dict, repr=False, kw_only=True)

    def _note(self, event: messages.RunEvent) -> bool:
        """What an event says; whether whoever iterates wants it."""
        match event.what:
            case What.RUN:
                self.uids.append(event.run_uid)
            case What.OUTPUT:
                self.output.append(event.output)
            case What.PROGRESS:
                self._note_progress(progress_of(event.progress))
                return False
            case What.ENDED:
                self.exit_status, self.reason, self.result = event.exit_status, event.reason, event.result
                self.error = error_from(event.error) if event.HasField("error") else None
        return True

    def _note_progress(self, progress: Progress) -> None:
        self.progress[progress.name] = progress
        if self.bars is not None:
            self.bars(progress)

    def _over(self) -> None:
        """Nothing comes any more."""
        if isinstance(self.bars, Bars):
            self.bars.close()

    def check(self) -> None:
        """Whether it ended well.

        :raises RunFailed: it was aborted, or failed.
        """
        if self.exit_status != "success":
            raise RunFailed(f"{self.name}: {self.exit_status}: {self.reason}") from self.error


@dataclass
class Run(RunFacts):
    """What becomes of a plan: iterate over it for its events, or ``wait()``.

    A connection that breaks is opened again: the plan goes on meanwhile, and none of its events is missed.

    :ivar uids: of its runs, so far.
    :ivar exit_status: success, abort or fail; empty while it is under way.
    :ivar result: what the plan returned, as Python writes it.
    :ivar output: what a script printed, so far; of more than 10 000 lines the last ones.
    :ivar progress: how far what it waits for is, by name; ``points`` of its run.
    """

    stream: LastingStream[messages.RunEvent] = field(repr=False)
    delivered: Callable[[list[str]], object] = field(default=_nobody, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        self._events = self._followed()

    def __iter__(self) -> Iterator[messages.RunEvent]:
        return self._events

    def _followed(self) -> Iterator[messages.RunEvent]:
        try:
            for event in self.stream:
                if self._note(event):
                    yield event
        finally:
            self._over()

    def wait(self) -> Run:
        """Wait until it has ended well. Ctrl-C ends the waiting, and leaves the plan running.

        Tables and plots that are subscribed have then had its documents, within a short time.

        :raises RunFailed: it was aborted, or failed.
        """
        for _ in self:
            pass
        self.delivered(self.uids)
        self.check()
        return self
