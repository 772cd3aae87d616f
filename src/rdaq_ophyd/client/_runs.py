"""A plan under way on a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.wire import error_from, messages

from ._call import Stream

KEPT = 10_000
"""Lines of a script's output."""
What = messages.RunEvent.What


class RunFailed(RdaqError):
    """A plan ended otherwise than in success; its cause is the error of the server, where there is one."""


@dataclass
class Run:
    """What becomes of a plan: iterate over it for its events, or ``wait()``.

    :ivar uids: of its runs, so far.
    :ivar exit_status: success, abort or fail; empty while it is under way.
    :ivar result: what the plan returned, as Python writes it.
    :ivar output: what a script printed, so far; of more than 10 000 lines the last ones.
    """

    name: str
    stream: Stream = field(repr=False)
    uids: list[str] = field(default_factory=list)
    exit_status: str = ""
    reason: str = ""
    result: str = ""
    error: RdaqError | None = None
    output: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT), repr=False)

    def __post_init__(self) -> None:
        self._events = self._followed()

    def __iter__(self) -> Iterator[messages.RunEvent]:
        return self._events

    def _followed(self) -> Iterator[messages.RunEvent]:
        for event in self.stream:
            if event.what == What.RUN:
                self.uids.append(event.run_uid)
            elif event.what == What.OUTPUT:
                self.output.append(event.output)
            elif event.what == What.ENDED:
                self.exit_status, self.reason, self.result = event.exit_status, event.reason, event.result
                self.error = error_from(event.error) if event.HasField("error") else None
            yield event

    def wait(self) -> Run:
        """Wait until it has ended well. Ctrl-C ends the waiting, and leaves the plan running.

        :raises RunFailed: it was aborted, or failed.
        """
        for _ in self:
            pass
        if self.exit_status != "success":
            raise RunFailed(f"{self.name}: {self.exit_status}: {self.reason}") from self.error
        return self
