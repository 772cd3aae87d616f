"""Messages around those that open and close a run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from bluesky import Msg

__all__ = ["around_runs"]

type Instead = Callable[[Msg], Generator[Msg, Any, Any]]
"""Given the message, what is done in its place: itself, and more. What it returns is the plan's answer."""


def _itself(msg: Msg) -> Generator[Msg, Any, Any]:
    return (yield msg)


def around_runs(plan: Any, *, opened: Instead = _itself, closed: Instead = _itself) -> Generator[Msg, Any, Any]:
    """A plan with something else in the place of each ``open_run`` and ``close_run``.

    bluesky's ``plan_mutator`` does this for any message, and keeps every message until the plan ends. Its frames are
    also there whenever the plan calls a stub of bluesky's, which writes its whole call stack down each time.

    What fails in there is raised in the plan, at its own message.

    :param plan: a generator of messages.
    """
    proceed, answer = plan.send, None
    while True:
        try:
            msg = proceed(answer)
        except StopIteration as end:
            return end.value
        proceed = plan.send
        try:
            match msg.command:
                case "open_run":
                    answer = yield from opened(msg)
                case "close_run":
                    answer = yield from closed(msg)
                case _:
                    answer = yield msg
        except GeneratorExit:
            plan.close()
            raise
        except BaseException as error:  # noqa: BLE001  as with `yield from`: the plan's to handle
            proceed, answer = plan.throw, error
