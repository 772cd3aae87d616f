"""How long a stop takes from the call, in a thread of its own, to its last byte at the instrument."""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from benchmarks._apart import Apart
from benchmarks._instruments import STOP
from benchmarks._locked import LockedPort
from rdaq_ophyd.errors import LinkError
from rdaq_ophyd.link import Line, Link, SerialLink, SerialSettings, TcpLink
from rdaq_ophyd.stop import SafeState, StopReport, halt_all, reset, stop_all

QUESTION = b"1TP?\r"
REPLY = Line(b"\n")
METER = SafeState(device="meter", halt=STOP + b"\r", preempt=True, question=b"1MD?\r", safe="1")
TIMEOUT = 0.5
"""Seconds for a reply, in both designs."""


class Loop:
    """An event loop in a thread of its own, as the RunEngine's."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="bench-loop", daemon=True)
        self._thread.start()

    def submit[T](self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run ``work`` there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """End it with all its tasks."""
        self.submit(_cancel_all()).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _read_on(ask: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
    while True:
        try:
            await ask()
        except (LinkError, TimeoutError):
            await asyncio.sleep(0)  # a mute instrument is asked again, as a poller does


@dataclass
class Ours:
    """A link with ``readers`` tasks that ask as fast as it answers.

    :ivar reports: what the stops came to, where they were confirmed.
    """

    link: Link
    loop: Loop
    confirm: bool
    seconds_to_verdict: list[float]

    def stop(self) -> int:
        """Stop everything from this thread; when it was called, ns."""
        if not self.confirm:
            start = time.monotonic_ns()
            halt_all("benchmark")
            return start
        start = time.monotonic_ns()
        report = stop_all("benchmark")
        self.seconds_to_verdict.append((time.monotonic_ns() - start) / 1e9)
        _check(report)
        return start

    def ready(self) -> None:
        """After a trial."""
        reset("next trial", force=True)


def _check(report: StopReport) -> None:
    if report.unconfirmed or not report.verdicts:
        raise RuntimeError(str(report))


def open_link(url: str) -> Link:
    """A link to a meter, over whatever its URL says."""
    if url.startswith("tcp://"):
        link: Link = TcpLink(url, reply=REPLY, timeout=TIMEOUT)
    else:
        link = SerialLink(url, SerialSettings(19_200), reply=REPLY, timeout=TIMEOUT)
    link.open()
    link.resync()  # who had the port before may have left a question unanswered
    return link


@contextmanager
def ours(url: str, readers: int, *, confirm: bool = True, preempt: bool = True) -> Iterator[Ours]:
    """An open link under load, part of stop-all; without ``preempt`` the halt takes the urgent lane."""
    link = open_link(url)
    state = replace(METER, preempt=preempt)
    link.safety.declare(link, lambda: [state])
    loop = Loop()
    try:
        for _ in range(readers):
            loop.submit(_read_on(lambda: link.ask(QUESTION, safe=True)))
        yield Ours(link, loop, confirm, [])
    finally:
        loop.close()
        link.safety.retract(link)
        link.close()


@dataclass
class Locked:
    """The peer under the same load."""

    port: LockedPort
    loop: Loop

    def stop(self) -> int:
        """Stop from this thread: the lock belongs to the loop."""
        start = time.monotonic_ns()
        self.loop.submit(self.port.stop(STOP + b"\r"))
        return start

    def ready(self) -> None:
        """After a trial."""
        self.loop.loop.call_soon_threadsafe(self.port.go_on)


@contextmanager
def locked(url: str, readers: int, **options: Any) -> Iterator[Locked]:
    """A port behind a fair lock under load."""
    loop = Loop()

    async def make() -> LockedPort:
        return LockedPort(url, timeout=TIMEOUT, **options)

    port = loop.submit(make()).result(10)
    try:
        for _ in range(readers):
            loop.submit(_read_on(lambda: port.ask(QUESTION)))
        yield Locked(port, loop)
    finally:
        loop.loop.call_soon_threadsafe(port.close)
        loop.close()


class Side(Protocol):
    """Something that stops the instrument."""

    def stop(self) -> int:
        """Stop; when that was called, ns."""
        ...

    def ready(self) -> None:
        """Get ready for the next trial."""
        ...


def delays(side: Side, bench: Apart, trials: int, *, pause: tuple[float, float] = (0.01, 0.03)) -> list[float]:
    """Seconds from the call to the stop's last byte at the instrument, at random moments of the load."""
    time.sleep(0.2)  # until every reader has its place in the queue
    found = []
    for _ in range(trials):
        time.sleep(random.uniform(*pause))
        bench.forget()
        start = side.stop()
        found.append((bench.stopped(30.0)[1] - start) / 1e9)
        side.ready()
    return found
