"""What would end the program, raised by a plan or a device: it fails that plan alone, and the event loop goes on."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable
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
    """A plan's generator, as far as the RunEngine needs it."""

    def __init__(self, plan: Any) -> None:
        self._plan = plan

    def send(self, response: Any) -> Any:
        """Its next message."""
        return self._do(self._plan.send, response)

    def throw(self, error: Any) -> Any:
        """Its next message, after that."""
        return self._do(self._plan.throw, error)

    def close(self) -> None:
        """End it."""
        self._do(self._plan.close)

    @staticmethod
    def _do(call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except (Exception, GeneratorExit, asyncio.CancelledError):  # bluesky knows what to do with these
            raise
        except BaseException as error:
            raise _failed("the plan", error) from error


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
