"""Somebody else's code in a thread of its own: however long it takes, the loop and its other threads go on."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future


async def apart[T](call: Callable[[], T]) -> T:
    """Call it there, and wait.

    None of a pool: a file that hangs when it is imported would keep one of its threads from everybody. A daemon, so
    that the process can end all the same. How many there are is bounded by the calls that are let in.
    """
    done: Future[T] = Future()
    here = contextvars.copy_context()
    threading.Thread(target=_call, args=(call, here, done), name="plan-file", daemon=True).start()
    return await asyncio.wrap_future(done)


def _call[T](call: Callable[[], T], here: contextvars.Context, done: Future[T]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        result = here.run(call)
    except BaseException as error:  # noqa: BLE001 raised again where it is waited for
        done.set_exception(error)
    else:
        done.set_result(result)
