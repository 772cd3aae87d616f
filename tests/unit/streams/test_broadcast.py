"""The broadcast ring: every reader accounts for everything, the publisher knows nobody."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
import weakref

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from rdaq_ophyd.streams import BroadcastRing, RingCounts
from rdaq_ophyd.streams._bell import QUIET

ROOM = 8


class Readers(RuleBasedStateMachine):
    """A ring of eight beside a list of all that was ever published."""

    readers = Bundle("readers")

    def __init__(self):
        super().__init__()
        self.ring = BroadcastRing(ROOM)
        self.published = []  # weights; an item is its own number
        self.open = {}  # reader -> where it began, its place, what it got

    @rule(weights=st.lists(st.integers(0, 50), min_size=1, max_size=3 * ROOM))
    def publish(self, weights):
        for weight in weights:
            self.ring.publish(len(self.published), weight)
            self.published.append(weight)

    @rule(target=readers)
    def come(self):
        reader = self.ring.reader()
        self.open[reader] = [len(self.published), len(self.published), []]
        return reader

    @rule(reader=readers, most=st.none() | st.integers(1, 2 * ROOM))
    def take(self, reader, most):
        place = max(self.open[reader][1], len(self.published) - ROOM)
        expected = list(range(place, len(self.published)))[:most]
        assert reader.take(most) == expected
        self.open[reader][1] = place + len(expected) if expected else self.open[reader][1]
        self.open[reader][2] += expected

    @rule(reader=consumes(readers))
    def leave(self, reader):
        del self.open[reader]

    @invariant()
    def everything_is_accounted_for(self):
        for reader, (began, place, got) in self.open.items():
            there = max(place, len(self.published) - ROOM)
            counts = reader.counts
            assert counts.published == sum(self.published[began:])
            assert counts.delivered == sum(self.published[number] for number in got)
            assert counts.pending == sum(self.published[there:])
            assert counts.delivered + counts.dropped + counts.pending == counts.published


TestReaders = Readers.TestCase
TestReaders.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize(("room", "size"), [(1, 1), (2, 2), (3, 4), (8, 8), (1000, 1024)])
def test_its_room_is_rounded_up(room, size):
    ring = BroadcastRing(room)
    reader = ring.reader()
    for number in range(2 * size):
        ring.publish(number)
    assert reader.counts == RingCounts(2 * size, 0, size, size)
    assert reader.take() == list(range(size, 2 * size))


@pytest.mark.parametrize("room", [0, -1])
def test_a_ring_has_room_for_something(room):
    with pytest.raises(ValueError, match=f"room={room}"):
        BroadcastRing(room)


def test_one_who_comes_later_gets_what_comes_later():
    ring = BroadcastRing(4)
    ring.publish("before")
    late = ring.reader()
    assert late.take() == []
    ring.publish("after")
    assert late.take() == ["after"]
    assert late.counts == RingCounts(1, 1, 0, 0)


class Item:
    pass


def test_items_that_are_gone_are_not_kept_alive():
    ring = BroadcastRing(2)
    reader, alive = ring.reader(), []
    for _ in range(6):
        item = Item()
        ring.publish(item)
        alive.append(weakref.ref(item))
    del item
    gc.collect()
    assert [ref() is not None for ref in alive] == [False] * 4 + [True] * 2
    assert reader.counts == RingCounts(6, 0, 4, 2)


class Thread(threading.Thread):
    """Publishes so many numbers, then closes."""

    def __init__(self, ring, number):
        super().__init__(name="publisher")
        self.ring, self.number = ring, number

    def run(self):
        for number in range(self.number):
            self.ring.publish(number)
        self.ring.close()


def exact(counts):
    assert counts.delivered + counts.dropped + counts.pending == counts.published
    assert min(counts) >= 0


async def test_readers_of_every_speed_beside_a_thread_that_publishes_as_fast_as_it_can():
    number, ring = 100_000, BroadcastRing(64)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # the threads take turns in the middle of everything
    readers = [ring.reader() for _ in range(12)]
    got = [[] for _ in readers]

    async def read(reader, into, most, pause):
        while await reader.wait():
            taken = reader.take(most)
            assert taken == list(range(taken[0], taken[0] + len(taken)))
            assert not into or taken[0] > into[-1]
            into += taken
            exact(reader.counts)
            await asyncio.sleep(pause)

    publisher = Thread(ring, number)
    try:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for index, (reader, into) in enumerate(zip(readers, got, strict=True)):
                group.create_task(read(reader, into, (None, 1, 7)[index % 3], (0, 0.001)[index % 2]))
            publisher.start()
    finally:
        sys.setswitchinterval(interval)
        await asyncio.to_thread(publisher.join, 30)
    for reader, into in zip(readers, got, strict=True):
        assert reader.counts == RingCounts(number, len(into), number - len(into), 0)
        assert into[-1] == number - 1


def test_counts_are_exact_for_a_third_thread_too():
    ring, number = BroadcastRing(16), 200_000
    reader = ring.reader()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    publisher = Thread(ring, number)
    seen = []

    def look():
        while not ring.closed:
            seen.append(reader.counts)

    looking = threading.Thread(target=look)
    try:
        looking.start()
        publisher.start()
        taken = 0
        while publisher.is_alive() or reader.counts.pending:
            taken += len(reader.take(5))
    finally:
        sys.setswitchinterval(interval)
        publisher.join(30)
        looking.join(30)
    for counts in seen:
        exact(counts)
    for earlier, later in itertools.pairwise(seen):
        assert later.published >= earlier.published
        assert later.delivered >= earlier.delivered
    assert reader.counts == RingCounts(number, taken, number - taken, 0)


async def test_sleepers_of_a_loop_are_woken_once_for_many_items(monkeypatch):
    loop, ring = asyncio.get_running_loop(), BroadcastRing(1024)
    readers = [ring.reader() for _ in range(100)]
    waiting = [asyncio.ensure_future(reader.wait()) for reader in readers]
    await asyncio.sleep(0)
    calls = []
    original = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args: calls.append(args) or original(*args))
    for number in range(1000):
        ring.publish(number)
    assert len(calls) == 1
    assert await asyncio.wait_for(asyncio.gather(*waiting), 10) == [True] * 100
    assert all(len(reader.take()) == 1000 for reader in readers)


async def test_items_far_apart_need_no_timer_and_those_close_together_share_one(monkeypatch):
    loop = asyncio.get_running_loop()
    now, timers = [1000.0], []
    monkeypatch.setattr(loop, "time", lambda: now[0])
    monkeypatch.setattr(loop, "call_later", lambda after, call, *_args: timers.append((after, call)))
    ring = BroadcastRing(ROOM)
    reader = ring.reader()

    async def timers_until(pause):
        """Sleep at once, the next item comes after that pause: how many timers that took."""
        waiting, took = asyncio.ensure_future(reader.wait()), 0
        await asyncio.sleep(0)
        for _, arm in timers:
            now[0] += QUIET
            arm()
            took += 1
        timers.clear()
        now[0] += pause
        ring.publish(None)
        await waiting
        reader.take()
        return took

    assert [await timers_until(5 * QUIET) for _ in range(5)] == [0] * 5
    assert [await timers_until(0) for _ in range(5)] == [0, 1, 1, 1, 1]


async def test_who_sleeps_is_not_forgotten_when_others_were_cancelled_or_their_loop_has_ended():
    ring = BroadcastRing(4)
    reader, gone = ring.reader(), ring.reader()

    async def leave():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(gone.wait(), 0.001)

    await leave()
    await asyncio.to_thread(asyncio.run, leave())
    waiting = asyncio.ensure_future(reader.wait())
    await asyncio.sleep(0)
    await asyncio.to_thread(ring.publish, "item")
    assert await asyncio.wait_for(waiting, 10)
    assert reader.take() == ["item"]
    assert gone.counts == RingCounts(1, 0, 0, 1)


async def test_a_closed_ring_is_read_to_its_end():
    ring = BroadcastRing(4)
    reader, empty = ring.reader(), ring.reader()
    ring.publish(1)
    empty.take()
    sleeping = asyncio.ensure_future(empty.wait())
    await asyncio.sleep(0)
    await asyncio.to_thread(ring.close)
    assert not await asyncio.wait_for(sleeping, 10)
    assert await reader.wait()
    assert reader.take() == [1]
    assert not await reader.wait()
    assert ring.closed
