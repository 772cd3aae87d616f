"""F17: publishing to a hundred readers of mixed speed, through the broadcast ring and with a queue for each."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from benchmarks import Result, times
from rdaq_ophyd.streams import BroadcastRing, RingCounts

NAME = "F17"
TITLE = "publish to 100 readers of mixed speed at 100 000 items/s, CPU time a publish"
READERS, RATE, ROOM = 100, 100_000, 8192
GOAL = 100.0
# Seconds of a trial, rounds, and the publisher's tick.
SECONDS, ROUNDS, TICK = times(2.0, 0.5), times(3, 1), 0.001
# What is published at one tick, where the machine had something else to do before.
MOST = 5000
# A slow reader takes so many at a time, and so often a second.
SLOW, VIEW = (256, 10), (None, 30)


class Reader(Protocol):
    """What the ring's reader and the peer's have in common."""

    @property
    def counts(self) -> RingCounts:
        """What became of everything."""
        ...

    def take(self, most: int | None = None) -> list[Any]:
        """What is there."""
        ...

    async def wait(self) -> bool:
        """Sleep until there is something."""
        ...


class Queue:
    """The peer's reader: a bounded queue of its own, the oldest given up for the newest."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue(ROOM)
        self._next: list[Any] = []
        self.published = self.delivered = self.dropped = 0

    def put(self, item: Any) -> None:
        """Called for each item and each reader."""
        self.published += 1
        if self._queue.full():
            self._queue.get_nowait()
            self.dropped += 1
        self._queue.put_nowait(item)

    @property
    def counts(self) -> RingCounts:
        """What became of everything."""
        pending = self._queue.qsize() + len(self._next)
        return RingCounts(self.published, self.delivered, self.dropped, pending)

    def take(self, most: int | None = None) -> list[Any]:
        """What is there."""
        taken, self._next = self._next, []
        while not self._queue.empty() and (most is None or len(taken) < most):
            taken.append(self._queue.get_nowait())
        self.delivered += len(taken)
        return taken

    async def wait(self) -> bool:
        """Sleep until there is something."""
        if not self._next:
            self._next.append(await self._queue.get())
        return True


class Queues:
    """A queue for each reader."""

    def __init__(self) -> None:
        self._queues: list[Queue] = []

    def reader(self) -> Queue:
        """Another one."""
        self._queues.append(Queue())
        return self._queues[-1]

    def publish(self, item: Any) -> None:
        """Put it into all of them."""
        for queue in self._queues:
            queue.put(item)


class Trial(NamedTuple):
    """CPU seconds a publish, items a second, share of a core in all, and whether all was accounted for."""

    publish: float
    rate: float
    share: float
    exact: bool


async def _read(reader: Reader, most: int | None, a_second: int) -> None:
    while await reader.wait():
        reader.take(most)
        if a_second:
            await asyncio.sleep(1 / a_second)


async def _tried(fan: Any) -> Trial:
    readers: list[Reader] = [fan.reader() for _ in range(READERS)]
    kinds = ((4096, 0), VIEW, SLOW)
    tasks = [asyncio.create_task(_read(r, *kinds[i % 3])) for i, r in enumerate(readers)]
    await asyncio.sleep(0.05)
    spent, number, cpu, began = 0.0, 0, time.process_time(), time.perf_counter()
    exact = True
    while (now := time.perf_counter() - began) < SECONDS:
        before, due = time.thread_time(), min(MOST, int(now * RATE) - number)
        for _ in range(due):
            fan.publish((now, 1.0))
        spent += time.thread_time() - before
        number += max(0, due)
        await asyncio.sleep(TICK)
        exact = exact and _accounted(readers[number % READERS], number)
    share = (time.process_time() - cpu) / now
    exact = exact and all(_accounted(reader, number) for reader in readers)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return Trial(spent / number, number / now, share, exact)


def _accounted(reader: Reader, number: int) -> bool:
    counts = reader.counts
    return counts.published == number == counts.delivered + counts.dropped + counts.pending


def _from_a_thread(readers: int) -> float:
    """CPU seconds a publish of a thread beside the loop of so many quick readers, as of a card's thread."""

    async def tried() -> float:
        ring: BroadcastRing[int] = BroadcastRing(ROOM)
        tasks = [asyncio.create_task(_read(ring.reader(), None, 200)) for _ in range(readers)]
        spent: list[float] = []

        def publish() -> None:
            before, number = time.thread_time(), 20_000
            for item in range(number):
                ring.publish(item)
                if item % 100 == 0:
                    time.sleep(TICK)
            spent.append((time.thread_time() - before) / number)

        thread = threading.Thread(target=publish)
        thread.start()
        await asyncio.to_thread(thread.join)
        ring.close()
        await asyncio.gather(*tasks)
        return spent[0]

    return asyncio.run(tried())


def measure() -> Result:
    """Ring and queues in turn, with the same readers."""
    makers: dict[str, Callable[[], Any]] = {"ring": lambda: BroadcastRing(ROOM), "queues": Queues}
    trials: dict[str, list[Trial]] = {name: [] for name in makers}
    for _ in range(ROUNDS):
        for name, make in makers.items():
            trials[name].append(asyncio.run(_tried(make())))
    ours, peer = (statistics.median(t.publish for t in trials[name]) for name in makers)
    ratio = statistics.median(q.publish / r.publish for r, q in zip(trials["ring"], trials["queues"], strict=True))
    alone, many = (min(_from_a_thread(readers) for _ in range(ROUNDS)) for readers in (1, READERS))
    return Result(
        figure=1e6 * ours,
        peer=1e6 * peer,
        ratio=ratio,
        goal=GOAL,
        unit="µs",
        peer_name="a queue for each",
        notes=[
            f"{READERS} readers: a third takes all it can get, a third {VIEW[1]} times a second all there is, a third "
            f"{SLOW[1]} times a second {SLOW[0]} items; room for {ROOM} items; {ROUNDS} rounds of {SECONDS:g} s each",
            *(
                f"{name}: {statistics.median(t.rate for t in found):.0f} items/s, "
                f"{100 * statistics.median(t.share for t in found):.0f} % of a core with all readers"
                for name, found in trials.items()
            ),
            f"from a thread beside the readers' loop: {1e6 * alone:.2f} µs with 1 reader, {1e6 * many:.2f} µs with "
            f"{READERS}",
        ],
        also={
            "published = delivered + dropped + pending, of each reader, whenever looked at": all(
                t.exact for t in trials["ring"]
            ),
            "100 000 items/s take less than a core with all readers": all(
                t.share / t.rate * RATE < 1 for t in trials["ring"]
            ),
        },
    )
