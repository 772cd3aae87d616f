"""Wake-ups: one for all who sleep on a loop, none in the quiet time after it, and none that is lost."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from rdaq_ophyd.streams._bell import QUIET, Bell

pytestmark = pytest.mark.timeout(60)


class Publisher:
    """Counts, and rings when it has to, as a ring does; from any thread."""

    def __init__(self, loop):
        self.newest, self.rings = 0, 0
        self.sleeping = False
        self.bell = Bell(loop, lambda: self.newest, self.arm)

    def arm(self):
        self.sleeping = True

    def publish(self):
        self.newest += 1
        if self.sleeping:
            self.sleeping = False
            if self.bell.armed:
                self.rings += 1
                assert self.bell.ring()


class Clock:
    """The loop's clock, which stands still until it is set on, and what is to be called later."""

    def __init__(self, loop, monkeypatch):
        self.now, self.calls = loop.time(), []
        monkeypatch.setattr(loop, "time", lambda: self.now)
        monkeypatch.setattr(loop, "call_later", lambda delay, call: self.calls.append((self.now + delay, call)))

    def go_on(self, seconds):
        self.now += seconds
        due = [call for when, call in self.calls if when <= self.now]
        self.calls = [(when, call) for when, call in self.calls if when > self.now]
        for call in due:
            call()


@pytest.fixture
async def publisher():
    return Publisher(asyncio.get_running_loop())


@pytest.fixture
async def clock(publisher, monkeypatch):
    return Clock(asyncio.get_running_loop(), monkeypatch)


async def turn():
    """What was called soon from a thread has been called when this is done."""
    for _ in range(2):
        await asyncio.sleep(0)


async def test_nobody_sleeps_and_nobody_rings(publisher):
    publisher.publish()
    assert not publisher.bell.armed
    assert publisher.rings == 0


async def test_one_ring_wakes_all_who_sleep(publisher, clock):
    sleepers = [publisher.bell.sleeper() for _ in range(100)]
    assert publisher.bell.armed
    for _ in range(1000):
        publisher.publish()
    assert publisher.rings == 1
    assert not publisher.bell.armed
    assert not any(sleeper.done() for sleeper in sleepers), "from a thread, so on the loop's next turn"
    await turn()
    assert all(sleeper.done() for sleeper in sleepers)


async def two_rings(publisher):
    """One, and the one that may be had in advance."""
    for _ in range(2):
        publisher.bell.sleeper()
        publisher.publish()
        await turn()


async def test_in_the_quiet_time_there_is_no_other_ring_and_at_its_end_all_are_woken(publisher, clock):
    await two_rings(publisher)
    sleepers = []
    for _ in range(10):
        sleepers.append(publisher.bell.sleeper())
        publisher.publish()
        await turn()
        clock.go_on(QUIET / 20)
    assert publisher.rings == 2
    assert not any(sleeper.done() for sleeper in sleepers)
    assert len(clock.calls) == 1, "one for all of them"
    clock.go_on(QUIET)
    assert all(sleeper.done() for sleeper in sleepers)
    assert publisher.rings == 2, "what came meanwhile needs no publisher to tell of it"


async def test_after_a_quiet_time_without_news_the_next_item_rings(publisher, clock):
    await two_rings(publisher)
    sleeper = publisher.bell.sleeper()
    assert not publisher.bell.armed
    clock.go_on(QUIET)
    assert publisher.bell.armed
    assert not sleeper.done()
    publisher.publish()
    await turn()
    assert sleeper.done()
    assert publisher.rings == 3


async def test_who_falls_asleep_long_after_is_woken_by_the_next_item(publisher, clock):
    publisher.bell.sleeper()
    publisher.publish()
    await turn()
    clock.go_on(10 * QUIET)
    sleeper = publisher.bell.sleeper()
    assert not clock.calls
    publisher.publish()
    await turn()
    assert sleeper.done()


async def test_an_item_that_comes_while_the_bell_is_armed_is_not_lost(publisher, clock):
    def arm():
        publisher.newest += 1  # its publisher looked just before

    publisher.bell._on_armed = arm
    assert publisher.bell.sleeper().done()


async def test_sleepers_that_were_cancelled_are_in_nobodys_way(publisher, clock):
    first, second = publisher.bell.sleeper(), publisher.bell.sleeper()
    first.cancel()
    third = publisher.bell.sleeper()
    publisher.publish()
    await turn()
    assert second.done()
    assert third.done()
    assert first.cancelled()
    assert publisher.rings == 1


def test_a_loop_that_has_ended_says_so():
    async def fall_asleep():
        publisher = Publisher(asyncio.get_running_loop())
        publisher.bell.sleeper()
        return publisher.bell

    bell = asyncio.run(fall_asleep())
    assert bell.armed
    assert not bell.ring()


async def test_no_wake_up_is_lost_to_a_thread_that_publishes_all_the_time(publisher):
    interval, total = sys.getswitchinterval(), 20_000
    turns, seen = threading.Semaphore(0), [0] * 5

    def publish():
        for number in range(total):
            publisher.publish()
            if number % 100 == 99:
                turns.acquire(timeout=20)  # until somebody was woken: a wake-up that is lost ends here

    async def read(index):
        while seen[index] < total:
            sleeper = publisher.bell.sleeper()
            if publisher.newest == seen[index]:
                await asyncio.wait_for(sleeper, 20)
            seen[index] = publisher.newest
            turns.release()

    publishing, clock = threading.Thread(target=publish, name="publisher"), asyncio.get_running_loop().time
    began = clock()
    sys.setswitchinterval(1e-5)  # the threads take turns in the middle of everything
    try:
        async with asyncio.TaskGroup() as group:
            for index in range(5):
                group.create_task(read(index))
            publishing.start()
    finally:
        sys.setswitchinterval(interval)
        await asyncio.to_thread(publishing.join, 30)
    assert seen == [total] * 5
    assert 0 < publisher.rings <= 2 + (clock() - began) / QUIET
