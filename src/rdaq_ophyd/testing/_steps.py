"""Cancel something at the n-th time that it waits, in whatever task of it."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextvars import ContextVar
from typing import Any

from ._loops import BOUND


class Steps:
    """Counts how often something waits, and cancels it then.

    :param number: of the wait at which it is cancelled, from 1.
    :param late: cancel as the wait ends, with the result there already; else as soon as it begins.
    """

    def __init__(self, number: int, *, late: bool) -> None:
        self._number, self._late, self._count = number, late, 0
        self.task: asyncio.Task[Any] | None = None

    @property
    def reached(self) -> bool:
        """Whether it waited as often as that."""
        return self._count >= self._number

    def waits(self, waited: Any) -> None:
        """It waits for ``waited``, which is None where it only lets others run."""
        self._count += 1
        if self._count != self._number or self.task is None:
            return
        if self._late and asyncio.isfuture(waited):
            waited.add_done_callback(lambda _: self.task and self.task.cancel())
        else:
            asyncio.get_running_loop().call_soon(self.task.cancel)


_STEPS: ContextVar[Steps | None] = ContextVar("steps that are counted", default=None)


async def cancelled_at(number: int, make: Callable[[], Coroutine[Any, Any, Any]], *, late: bool) -> bool:
    """Run ``make()`` and cancel it at its ``number``-th wait; False when it ended before. What it raised is its own.

    :raises TimeoutError: the cancellation did not end it.
    """
    steps = Steps(number, late=late)
    with _counting():
        token = _STEPS.set(steps)
        try:
            steps.task = asyncio.ensure_future(make())
        finally:
            _STEPS.reset(token)
        done, _ = await asyncio.wait({steps.task}, timeout=BOUND)
    if not done:
        raise TimeoutError(f"cancelled at its step {number}, it still goes on after {BOUND:g} s")
    if not steps.task.cancelled():
        steps.task.exception()  # whatever it is: it was taken down
    return steps.reached


@contextlib.contextmanager
def _counting() -> Iterator[None]:
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(_make_task)
    try:
        yield
    finally:
        loop.set_task_factory(before)


def _make_task(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    steps = _STEPS.get()
    if steps is None:
        return asyncio.Task(coro, loop=loop, **options)
    task: asyncio.Task[Any] = asyncio.Task(_counted(coro, steps), loop=loop, **options)
    task.add_done_callback(lambda _: coro.close())  # it may never have begun
    return task


async def _counted(coro: Coroutine[Any, Any, Any], steps: Steps) -> Any:
    return await _delegate(coro, steps)


@types.coroutine
def _delegate(coro: Coroutine[Any, Any, Any], steps: Steps) -> Generator[Any, Any, Any]:
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            waited = coro.send(value) if error is None else coro.throw(error)
        except StopIteration as end:
            return end.value
        steps.waits(waited)
        try:
            value, error = (yield waited), None
        except BaseException as raised:  # noqa: BLE001 (handed on)
            value, error = None, raised
