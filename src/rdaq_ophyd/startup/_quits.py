"""What would end the program, raised by a plan or a device: it fails that plan alone, and the event loop goes on."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from rdaq_ophyd.errors import RdaqError

__all__ = ["QUITS", "LastingLoop", "Plans", "contained"]
logger = logging.getLogger(__name__)
QUITS = (SystemExit, KeyboardInterrupt)
"""What asyncio lets through: raised by any task or callback, it ends the loop, and with it all others."""

if sys.platform == "win32":
    _Loop = asyncio.ProactorEventLoop
else:
    _Loop = asyncio.SelectorEventLoop


class LastingLoop(_Loop):
    """An event loop that runs until it is stopped, whatever its tasks and callbacks raise."""

    _is_stopped = False

    def run_forever(self) -> None:
        """Run until ``stop``."""
        self._is_stopped = False
        while True:
            try:
                return super().run_forever()
            except QUITS:
                logger.exception("something wanted to end the event loop of the devices, which goes on")
                if self._is_stopped:  # in the same turn: the loop has forgotten that
                    return None

    def stop(self) -> None:
        """End ``run_forever``."""
        self._is_stopped = True
        super().stop()


class Plans(deque[Any]):
    """The RunEngine's stack of a plan's generators; what would end the program is a failure of the plan."""

    def append(self, plan: Any) -> None:
        """Put one on top."""
        super().append(_Contained(plan))


class _Contained:
    """A plan's generator, as far as the RunEngine needs it.

    Between the two of them stands one frame: each is written down whenever the plan calls a stub of bluesky's.
    """

    def __init__(self, plan: Any) -> None:
        self._plan = plan

    def send(self, response: Any) -> Any:
        """Its next message."""
        with _QUITS_FAIL:
            return self._plan.send(response)

    def throw(self, error: Any) -> Any:
        """Its next message, after that."""
        with _QUITS_FAIL:
            return self._plan.throw(error)

    def close(self) -> None:
        """End it."""
        with _QUITS_FAIL:
            self._plan.close()


class _QuitsFail:
    """What the block raises to end the program fails the plan instead; bluesky knows what to do with the rest."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not (error is None or isinstance(error, (Exception, GeneratorExit, asyncio.CancelledError))):
            raise _failed("the plan", error) from error


_QUITS_FAIL = _QuitsFail()


def contained(do: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """Who does a message of a plan; what would end the program is a failure of the message."""

    @functools.wraps(do)
    async def doing(msg: Any) -> Any:
        try:
            return await do(msg)
        except QUITS as error:
            raise _failed(f"the message {msg.command!r} of the plan", error) from error

    return doing


def _failed(what: str, error: BaseException) -> RdaqError:
    told = f"{type(error).__name__}: {error}".removesuffix(": ")
    return RdaqError(
        f"{what} wanted to end the program ({told}), which goes on",
        hint="a plan ends by returning, or fails by raising an Exception",
    )
