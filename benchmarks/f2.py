"""F2: the stop of F1 while something is badly wrong: with the event loop, with Python's lock, with the instrument."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from benchmarks import Result, percentile, spread, times
from benchmarks._apart import Apart
from benchmarks._hung import SECONDS, after_kill, by_watchdog, from_inside
from benchmarks._stops import Locked, Ours, delays, locked, ours

NAME = "F2"
TITLE = "stop-all with the event loop, Python's lock or the instrument stuck: worst p99 against its bound"
LATENCY = 0.010
READERS = times(3, 1)
TRIALS = 70
LIMIT, SPIN_LIMIT, HUNG_LIMIT = 0.005, 0.015, 1.5
KILL_LIMIT = 0.5
"""Seconds that docs/explanations/software-stop.md states."""
SLEEP = times(0.5, 0.05)
SWITCH = 0.001
"""Seconds after which a thread that computes must let another one run, in a session; Python's own default is 5 ms."""

Case = Callable[[Ours | Locked, Apart], AbstractContextManager[None]]


@contextmanager
def quiet(_side: Ours | Locked, _bench: Apart) -> Iterator[None]:
    """Nothing is wrong."""
    yield


@contextmanager
def loop_asleep(side: Ours | Locked, _bench: Apart) -> Iterator[None]:
    """A coroutine blocks the event loop, again and again."""

    async def block() -> None:
        while True:
            time.sleep(SLEEP)  # noqa: ASYNC251 - that is the fault
            await asyncio.sleep(0)

    side.loop.submit(block())
    yield


@contextmanager
def spin(_side: Ours | Locked, _bench: Apart) -> Iterator[None]:
    """A thread computes in pure Python and never waits."""
    end = threading.Event()

    def turn() -> None:
        number = 0
        while not end.is_set():
            number += 1

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@contextmanager
def spin_in_a_session(side: Ours | Locked, bench: Apart) -> Iterator[None]:
    """The same with the switch interval that a session sets."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        with spin(side, bench):
            yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def mute(_side: Ours | Locked, bench: Apart) -> Iterator[None]:
    """The instrument takes commands and answers nothing."""
    bench.faults(mute=True)
    yield


@contextmanager
def half_reply(_side: Ours | Locked, bench: Apart) -> Iterator[None]:
    """Four bytes of a reply came; the rest is stuck."""
    bench.faults(half_reply=4)
    yield


CASES: dict[str, tuple[Case, float | None]] = {
    "quiet": (quiet, LIMIT),
    f"event loop asleep {SLEEP * 1e3:g} ms at a time": (loop_asleep, LIMIT),
    "pure Python spinning in a thread, switch interval 1 ms as in a session": (spin_in_a_session, SPIN_LIMIT),
    "pure Python spinning in a thread, switch interval 5 ms": (spin, None),
    "mute instrument, time-out 0.5 s": (mute, LIMIT),
    "half a reply stuck": (half_reply, LIMIT),
}


def _ours(case: Case) -> list[float]:
    with Apart(latency=LATENCY) as bench, ours(bench.url, READERS, confirm=False) as side, case(side, bench):
        return delays(side, bench, times(TRIALS, 3))


def _locked(case: Case) -> list[float]:
    with Apart(latency=LATENCY) as bench, locked(bench.url, READERS) as side, case(side, bench):
        return delays(side, bench, times(2, 1))


def _hung() -> tuple[list[float], bool, list[float], list[float]]:
    with Apart() as bench:
        outside = [by_watchdog(bench) for _ in range(times(5, 1))]
        inside = [from_inside(bench) for _ in range(times(3, 1))]
        killed = [after_kill(bench) for _ in range(times(20, 1))]
    return [seconds for seconds, _ in outside], all(kept for _, kept in outside), inside, killed


def measure() -> Result:
    """Each case apart, ours and the lock's in turn."""
    mine: dict[str, list[float]] = {}
    notes = []
    for name, (case, limit) in CASES.items():
        mine[name], peer = _ours(case), _locked(case)
        bound = f"bound {limit * 1e3:g} ms" if limit else "no bound"
        notes.append(f"{name}: {spread(mine[name], 'ms', 1e3)} ({bound}); fair lock: max {max(peer) * 1e3:.3g} ms")
    hung, kept, inside, killed = _hung()
    worst = max(percentile(mine[name], 99) / limit for name, (_, limit) in CASES.items() if limit)
    slowest = max(percentile(mine[name], 99) for name, (_, limit) in CASES.items() if limit == LIMIT)
    return Result(
        figure=slowest * 1e3,
        peer=LIMIT * 1e3,
        ratio=worst,
        goal=1.0,
        unit="ms",
        peer_name="bound",
        at_most=True,
        notes=[
            *notes,
            f"{len(mine['quiet'])} trials a case (the lock: {len(peer)}), {READERS} readers; the ratio is the worst "
            "p99 against its bound, the figure the worst p99 but for the spin",
            f"C code keeps Python's lock for {SECONDS:g} s: `rdaq stop` from another process, start of the command to "
            f"stop bytes, through the watchdog: {spread(hung, 's')} (bound {HUNG_LIMIT:g} s)",
            f"the same, called by a thread of the process that hangs: {spread(inside, 's')} after the lock was taken; "
            "it waits until the C code lets go, however long that is",
            f"`kill -9` of the owner to stop bytes, by the watchdog: {spread(killed, 'ms', 1e3)} "
            f"({len(killed)} trials, bound {KILL_LIMIT * 1e3:g} ms)",
        ],
        also={
            f"C code keeps Python's lock: ≤ {HUNG_LIMIT:g} s, while it does": kept and max(hung) <= HUNG_LIMIT,
            f"kill -9 of the owner: ≤ {KILL_LIMIT:g} s": max(killed) <= KILL_LIMIT,
        },
    )
