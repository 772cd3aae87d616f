"""A plan that does not end although it is taken down: it gets its time, then it is closed and nothing of it is done."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from bluesky.utils import PlanHalt

from ._quits import contained

__all__ = ["CLEAN_UP", "Commands", "Deadline", "leave"]
logger = logging.getLogger(__name__)
CLEAN_UP = 60.0
"""Seconds that a plan's clean-up gets when the plan is aborted or finished; the slowest stages go home in less."""
AGAIN = 1.0
"""Seconds after which what the plan still waits for is told once more to end."""


class Left:
    """In the place of a generator that was closed: gives no message any more."""

    def send(self, _response: Any) -> NoReturn:
        """Raise what ends the plan for bluesky."""
        raise PlanHalt

    def throw(self, *_error: Any) -> NoReturn:
        """Raise what ends the plan for bluesky."""
        raise PlanHalt

    def close(self) -> None:
        """It is."""


def leave(stack: deque[Any]) -> None:
    """Close all generators of a plan, the innermost first, and put what ends the plan in their place.

    :param stack: the engine's own; changed.
    """
    for place in reversed(range(len(stack))):
        plan, stack[place] = stack[place], Left()
        try:
            plan.close()
        except RuntimeError as error:  # it yields although it is closed; it is not asked again
            logger.warning("a plan that was left did not want to end: %s", error)
        except BaseException:  # whatever its clean-up raises, the engine's loop goes on
            logger.exception("a plan that was left")


class Deadline:
    """When something has to be done at the latest; then it is done, and again until it is taken back.

    :param loop: all its methods belong onto it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, do: Callable[[], object]) -> None:
        self._loop, self._do = loop, do
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> None:
        """So many seconds from now; what is due earlier stays so."""
        if self._timer is not None:
            if self._timer.when() <= self._loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._now)

    def take_back(self) -> None:
        """It needs not be done any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self) -> None:
        self._timer = self._loop.call_later(AGAIN, self._now)
        self._do()


class Commands(dict[str, Any]):
    """bluesky's table of who does a message; ``instead`` is asked before each one whether somebody else does it."""

    def __init__(self, commands: dict[str, Any], instead: Callable[[], Any]) -> None:
        super().__init__({name: contained(do) for name, do in commands.items()})
        self._instead = instead

    def __setitem__(self, name: str, do: Any) -> None:
        super().__setitem__(name, contained(do))

    def get(self, name: str, default: Any = None) -> Any:
        """Who does it."""
        return self._instead() or super().get(name, default)
