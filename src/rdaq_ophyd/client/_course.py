"""A stream over several calls: where it goes on after a cut, and what was missed; nothing is sent here.

A shell (``Stream`` here, ``AsyncStream`` in ``aio``) opens calls, hands their messages over and waits between tries.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from rdaq_ophyd.wire import messages

from ._gap import Gap, OnGap, tell

INSTANCE, POSITION, LOST = "rdaq-instance", "rdaq-position", "rdaq-lost"
"""Initial metadata of a stream, see ``daq.proto``."""


class Course[T](ABC):
    """One stream.

    :param on_gap: called with each :class:`Gap`; without it they are logged.
    :ivar call: name of the rpc that is opened next.
    :ivar gaps: all so far.
    """

    call = ""
    stream = ""

    def __init__(self, on_gap: OnGap | None = None) -> None:
        self._on_gap = on_gap
        self.gaps: list[Gap] = []
        self.instance = ""
        self._cut: float | None = None

    @abstractmethod
    def request(self) -> Any:
        """What the next call is opened with."""

    @abstractmethod
    def items(self, message: Any) -> Iterable[T]:
        """What a message says."""

    @property
    def may_reopen(self) -> bool:
        """Whether a cut call may be opened again."""
        return True

    def begun(self, told: Mapping[str, str]) -> None:
        """The call has begun, with these initial metadata."""
        restarted = bool(self.instance) and told[INSTANCE] != self.instance
        self.instance = told[INSTANCE]
        if self._cut is not None:
            since, self._cut = self._cut, None
            self._again(since, told, restarted)

    def cut(self) -> None:
        """The connection broke."""
        if self._cut is None:
            self._cut = time.time()

    def _again(self, since: float, told: Mapping[str, str], restarted: bool) -> None:
        """It goes on after a cut."""
        del told
        self._gap(since, None, restarted)

    def _gap(self, since: float, lost: int | None, restarted: bool) -> None:
        gap = Gap(self.stream, since, time.time(), lost, restarted)
        self.gaps.append(gap)
        tell(gap, self._on_gap)


class StateCourse(Course[messages.State]):
    """The state after each change; after a cut, as it is then."""

    call = "WatchState"
    stream = "state"

    def request(self) -> messages.GetStateRequest:
        """Always the same."""
        return messages.GetStateRequest()

    def items(self, message: messages.State) -> Iterable[messages.State]:
        """It itself."""
        yield message


type Begin = messages.RunPlanRequest | messages.RunScriptRequest


class RunCourse(Course[messages.RunEvent]):
    """A plan or a script from beginning to end. It is begun once; after a cut its events go on where they were."""

    call = "RunPlan"

    def __init__(
        self, request: messages.RunPlanRequest | messages.RunScriptRequest, on_gap: OnGap | None = None
    ) -> None:
        super().__init__(on_gap)
        self.stream = request.name
        if isinstance(request, messages.RunScriptRequest):
            self.call = "RunScript"
        self._request, self._id, self._heard = request, "", 0

    def request(self) -> Begin | messages.FollowPlanRequest:
        """To begin it, or to hear of it again."""
        return messages.FollowPlanRequest(id=self._id, since=self._heard) if self._id else self._request

    def items(self, message: messages.RunEvent) -> Iterable[messages.RunEvent]:
        """It itself."""
        if message.id:
            self._id, self.call = message.id, "FollowPlan"
        self._heard = message.number or self._heard
        yield message

    @property
    def may_reopen(self) -> bool:
        """Once it is known that it was taken: else it could be begun twice."""
        return bool(self._id)

    def _again(self, since: float, told: Mapping[str, str], restarted: bool) -> None:
        del told
        if not restarted:  # else the server refuses: it does not know the plan
            self._gap(since, 0, restarted)
