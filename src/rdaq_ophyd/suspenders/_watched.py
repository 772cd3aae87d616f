"""A signal of ophyd-async as bluesky's suspenders expect one."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

from bluesky.protocols import Reading
from ophyd_async.core import SignalR

from rdaq_ophyd.errors import RdaqError

logger = logging.getLogger(__name__)
FIRST = 5.0
"""Seconds in which a signal must give its first reading."""
INVALID = 3
"""Alarm severity of a reading that could not be taken (as in EPICS)."""


class NotGood:
    """Stands for a value that nobody can judge: no reading, not a number, or one that the device says is invalid."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __repr__(self) -> str:
        return self.why


class Watched:
    """The interface of an ophyd signal (``subscribe``, ``clear_sub``, ``get``) on one of ophyd-async.

    bluesky 1.15's suspenders subscribe with ``event_type`` and ``run``, which ophyd-async does not know, from whatever
    thread, while ophyd-async subscribes in its loop only, and calls back with a reading.

    :param signal: connected, and in the RunEngine's loop, as are all devices of a session.
    """

    def __init__(self, signal: SignalR[Any]) -> None:
        self.signal = signal
        self._value: Any = NotGood("not read yet")
        self._callbacks: dict[Any, tuple[Callable[[Mapping[str, Reading[Any]]], None], asyncio.AbstractEventLoop]] = {}

    @property
    def name(self) -> str:
        """The signal's."""
        return self.signal.name

    def get(self) -> Any:
        """The value seen last."""
        return self._value

    def subscribe(self, suspender: Any, event_type: str | None = None, run: bool = True) -> None:  # noqa: ARG002
        """Tell ``suspender`` each value, beginning with the present one.

        In the RunEngine's loop (``bps.install_suspender``) the first value comes a moment later; elsewhere this waits.

        :raises RdaqError: the signal cannot be subscribed to.
        """
        if suspender in self._callbacks:
            return
        loop: asyncio.AbstractEventLoop = suspender.RE.loop
        first = threading.Event()

        def take(readings: Mapping[str, Reading[Any]]) -> None:
            self._value = judged(readings[self.signal.name])
            try:
                suspender(self._value)
            finally:
                first.set()

        self._callbacks[suspender] = (take, loop)
        if _in(loop):
            self.signal.subscribe_reading(take)
            return
        try:
            asyncio.run_coroutine_threadsafe(_call(self.signal.subscribe_reading, take), loop).result(FIRST)
        except Exception as error:
            del self._callbacks[suspender]
            raise RdaqError(
                f"{self.name or self.signal} cannot be watched: {type(error).__name__}: {error}",
                hint="connect its device first",
            ) from error
        if not first.wait(FIRST):
            self._value = NotGood(f"no reading within {FIRST:g} s")
            suspender(self._value)

    def clear_sub(self, suspender: Any) -> None:
        """End that; from any thread, and as often as you like."""
        take, loop = self._callbacks.pop(suspender, (None, None))
        if take is None or loop is None or loop.is_closed():
            return
        if _in(loop):
            self.signal.clear_sub(take)
        else:
            asyncio.run_coroutine_threadsafe(_call(self.signal.clear_sub, take), loop).result(FIRST)


def judged(reading: Reading[Any]) -> Any:
    """The value of a reading, if it is one that can be relied on."""
    value = reading["value"]
    if (severity := reading.get("alarm_severity", 0)) >= INVALID:
        return NotGood(f"{value!r} with alarm severity {severity}")
    if isinstance(value, float) and math.isnan(value):
        return NotGood("not a number")
    return value


def _in(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:  # no loop in this thread
        return False


async def _call(do: Callable[[Any], object], argument: Any) -> None:
    do(argument)
