"""Devices that others wrote, as part of a stop-all: a ``stop``, which runs on the event loop; some have a ``halt``."""

from __future__ import annotations

import _thread
import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

from bluesky.protocols import Locatable, Stoppable
from bluesky.utils import maybe_await
from ophyd_async.core import Device

from rdaq_ophyd.capabilities import Haltable
from rdaq_ophyd.stop import Outcome, Verdict

logger = logging.getLogger(__name__)
SECONDS = 5.0
"""For a device's ``stop`` to return, and again for the device to stand still after that."""
APART = 0.1
"""Seconds between two readings."""
STILL = 1.0
"""Seconds over which they must be the same for a device that stands still: some refresh their readback at 2 Hz."""


class LoopTarget:
    """Stops one device by its own ``stop``, on the event loop where it was connected.

    Its commands are not refused while the latch is tripped: each verdict says ``not latched``. A loop that hangs stops
    only what can be halted without it (``Haltable``).

    :param device: its name and ``stop`` are used, and ``locate`` where it has one.
    :param loop: where it was connected.
    :param seconds: bound for its ``stop``, and again for its coming to rest.
    """

    first = False

    def __init__(self, device: Any, loop: asyncio.AbstractEventLoop, seconds: float = SECONDS) -> None:
        self.device, self._loop, self._seconds = device, loop, seconds
        self._stopping: Future[None] | None = None
        self._halts: list[Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = 0.0

    @property
    def bound(self) -> float:
        """Seconds within which ``confirm`` ends."""
        return 2 * self._seconds + APART

    def devices(self) -> list[str]:
        """The device."""
        return [self._name]

    @property
    def _name(self) -> str:
        return str(getattr(self.device, "name", "") or type(self.device).__name__)

    def halt(self) -> None:
        """Halt what can be halted, and ask the loop to call the device's ``stop``; waits for nothing."""
        self._begun = time.monotonic()
        self._halts = [_apart(part) for part in _haltable(self.device)]
        self._stopping = self._on_loop(lambda: maybe_await(self.device.stop(success=False)))

    def confirm(self) -> list[Verdict]:
        """Wait for its ``stop``, then until two readings of where it is are the same."""
        begun = self._begun or time.monotonic()
        stopping, self._stopping = self._stopping, None
        outcome, detail = self._judge(stopping)
        halted = self._halted()
        if outcome is not Outcome.CONFIRMED:
            detail += halted
        detail = f"not latched: {detail}" if detail else "not latched: its own stop, no link of ours"
        seconds = time.monotonic() - begun
        return [Verdict(self._name, outcome, latched=False, seconds=seconds, detail=detail)]

    def recheck(self) -> list[Verdict]:
        """Watch again whether it stands still."""
        self._begun = time.monotonic()
        return self.confirm()

    def _halted(self) -> str:
        """What became of its ``halt``, in words."""
        if not self._halts:
            return ""
        if not all(halt.done() for halt in self._halts):
            return "; its halt did not return"
        errors = [error for halt in self._halts if (error := halt.exception())]
        for error in errors:
            logger.error("halt of %s", self._name, exc_info=error)
        return f"; its halt failed: {type(errors[0]).__name__}: {errors[0]}" if errors else "; it was halted"

    def _judge(self, stopping: Future[None] | None) -> tuple[Outcome, str]:
        if stopping is not None:
            try:
                stopping.result(self._seconds)
            except TimeoutError:
                return Outcome.UNCONFIRMED, f"its stop did not return within {self._seconds:g} s"
            except _NoLoop as error:
                return Outcome.UNREACHABLE, str(error)
            except CancelledError:
                return Outcome.UNCONFIRMED, "its stop was cancelled"
            except Exception as error:  # a verdict too: nobody knows whether it stopped
                logger.exception("stop of %s", self._name)
                return Outcome.UNCONFIRMED, f"its stop failed: {type(error).__name__}: {error}"
        if not isinstance(self.device, Locatable):
            return Outcome.UNCONFIRMED, "it was told to stop, but has no way to tell whether it did"
        return self._watch()

    def _watch(self) -> tuple[Outcome, str]:
        """Whether it stands still before its time is over."""
        end = time.monotonic() + self._seconds
        before, since = None, time.monotonic()
        while (left := end - time.monotonic()) > 0:
            try:
                now = self._on_loop(self._place).result(left)
            except TimeoutError:
                return Outcome.UNCONFIRMED, f"it did not say within {self._seconds:g} s where it is"
            except _NoLoop as error:
                return Outcome.UNREACHABLE, str(error)
            except Exception as error:  # a verdict too: nobody knows where it is
                logger.exception("where is %s", self._name)
                return Outcome.UNCONFIRMED, f"asked where it is: {type(error).__name__}: {error}"
            if before is None or not _same(before[0], now):
                before, since = (now,), time.monotonic()
            elif time.monotonic() - since >= min(STILL, self._seconds / 2):
                return Outcome.CONFIRMED, ""
            time.sleep(APART)
        return Outcome.UNCONFIRMED, f"still moving {self._seconds:g} s after its stop (at {now})"

    async def _place(self) -> Any:
        return (await maybe_await(self.device.locate()))["readback"]

    def _on_loop[T](self, call: Callable[[], Awaitable[T]]) -> Future[T]:
        """The result of ``call`` on the loop. Made there, so that nothing is left over when the loop is gone."""
        future: Future[T] = Future()

        async def run() -> None:
            try:
                result = await call()
            except BaseException as error:
                if not future.done():
                    future.set_exception(CancelledError() if isinstance(error, asyncio.CancelledError) else error)
                if not isinstance(error, Exception):
                    raise
            else:
                future.set_result(result)

        def begin() -> None:
            task = self._loop.create_task(run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        try:
            self._loop.call_soon_threadsafe(begin)
        except RuntimeError as error:
            future.set_exception(_NoLoop(f"its event loop is gone ({error})"))
        return future


class _NoLoop(Exception):
    pass


def _haltable(device: Any) -> Iterator[Haltable]:
    """It, or the outermost of its parts that can be halted."""
    if isinstance(device, Haltable):
        yield device
    elif isinstance(device, Device):
        for _, child in device.children():
            yield from _haltable(child)


def _apart(device: Haltable) -> Future[None]:
    """Halt it in a thread of its own: one of others may hang.

    Signal handlers come here: ``threading``, and a log, would take locks that whoever was interrupted may hold.
    """
    future: Future[None] = Future()

    def run() -> None:
        try:
            device.halt()
        except BaseException as error:  # noqa: BLE001 ``confirm`` tells
            future.set_exception(error)
        else:
            future.set_result(None)

    try:
        _thread.start_new_thread(run, ())
    except RuntimeError as error:  # no thread is to be had: its stop is asked for all the same
        future.set_exception(error)
    return future


def foreign(devices: Iterable[Device]) -> Iterator[Any]:
    """The outermost devices with a ``stop`` that are no targets of a stop-all by themselves, each once."""
    for device in devices:
        # Ours say so themselves: not every rig loads cameras, cards, and all the rest.
        if isinstance(device, Stoppable) and not getattr(device, "is_stop_target", False):
            yield device
        else:
            yield from foreign(child for _, child in device.children())


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        # The last digits of an encoder flicker also when it stands still.
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
    return bool(one == other)
