"""Messages made while the last one is sent: small frames together, a large one alone, each in its order."""

from __future__ import annotations

import asyncio
import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.server import _parcels
from rdaq_ophyd.server._parcels import AT_ONCE, LARGE, ON_LOOP, SMALL, Parcels
from rdaq_ophyd.wire import frames_from, messages

pytestmark = pytest.mark.timeout(20)
FAST, SLOW = math.inf, -1.0
"""Seconds below which any message, or none, has been sent quickly."""


def frame(number, nbytes):
    """Header and pixels."""
    header = messages.FrameHeader(sequence=number, width=nbytes, height=1, dtype="|u1")
    return header, np.full((1, nbytes), number % 251, "|u1")


def numbers(message):
    """Of the frames in a message; their pixels are what they ought to be."""
    found = []
    for header, pixels in frames_from(message):
        assert (pixels == header.sequence % 251).all()
        found.append(header.sequence)
    return found


class Making:
    """Makes frames of these sizes whenever there is room, as many as come at once."""

    def __init__(self, sizes, *, together=True, error=None):
        self.parcels, self._sizes, self._error = Parcels(together=together), sizes, error
        self.chosen = 0
        self.task = asyncio.create_task(self._make())

    async def _make(self):
        try:
            for number, nbytes in enumerate(self._sizes):
                await self.parcels.room()
                self.chosen = number + 1
                await self.parcels.add(*frame(number, nbytes))
        finally:
            self.parcels.end()
        if self._error is not None:
            raise self._error

    async def idle(self):
        """Until it waits for room."""
        for _ in range(8):
            await asyncio.sleep(0)


async def test_what_comes_while_one_is_sent_goes_together():
    making = Making([1000] * 30)
    await making.idle()
    sent = making.parcels.messages()
    assert numbers(await anext(sent)) == list(range(30))
    assert [each async for each in sent] == []
    await making.task


async def test_a_message_has_no_more_than_it_may():
    making = Making([SMALL] * 10)
    await making.idle()
    assert making.chosen == AT_ONCE // SMALL  # no more are even chosen
    got = []
    async for message in making.parcels.messages():
        got.append(numbers(message))
        await making.idle()
    assert got == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("nbytes", "together", "line", "ahead"),
    [
        (SMALL + 1, True, SLOW, 1),
        (10, False, SLOW, 1),
        (LARGE + 1, True, SLOW, 0),
        (LARGE, True, SLOW, 1),
        (LARGE + 1, True, FAST, 1),
    ],
)
async def test_the_next_message_is_made_while_one_is_sent_but_not_behind_a_large_one_on_a_slow_line(
    nbytes, together, line, ahead, monkeypatch
):
    monkeypatch.setattr(_parcels, "QUICK", line)
    making = Making([nbytes] * 4, together=together)
    number = -1
    async for message in making.parcels.messages():
        number += 1
        assert numbers(message) == [number]
        await making.idle()
        is_known = number > 0 or nbytes <= LARGE  # whether the line is fast, once one was sent
        assert making.chosen == min(4, number + 1 + ahead * is_known)
    assert number == 3


async def test_small_messages_tell_nothing_of_how_long_a_large_one_takes(monkeypatch):
    monkeypatch.setattr(_parcels, "QUICK", FAST)
    making = Making([LARGE] * 2 + [LARGE + 1] * 3)
    chosen = []
    async for message in making.parcels.messages():
        assert numbers(message)
        await making.idle()
        chosen.append(making.chosen)
    assert chosen == [2, 3, 3, 5, 5]  # behind the first large one nothing is made


@pytest.mark.parametrize(("nbytes", "apart"), [(SMALL, False), (ON_LOOP, False), (ON_LOOP + 1, True)])
async def test_what_would_keep_the_loop_is_copied_in_a_thread(nbytes, apart, monkeypatch):
    threads = []

    class Told(_parcels._Parcel):
        def begin(self, header, pixels):
            threads.append(threading.get_ident())
            super().begin(header, pixels)

    monkeypatch.setattr(_parcels, "_Parcel", Told)
    making = Making([nbytes])
    assert [numbers(message) async for message in making.parcels.messages()] == [[0]]
    assert (threads[0] != threading.get_ident()) is apart


async def test_two_messages_of_memory_are_enough_for_any_number(monkeypatch):
    taken = []
    monkeypatch.setattr(_parcels, "_Parcel", lambda made=_parcels._Parcel: taken.append(made()) or taken[-1])
    making = Making([SMALL] * 40)
    async for message in making.parcels.messages():
        assert numbers(message)
        await making.idle()
    assert len(taken) == 2


@pytest.mark.parametrize("line", [FAST, SLOW])
async def test_a_message_is_not_copied_over_while_it_is_sent(line, monkeypatch):
    """Of each what is asked for next comes once the one before has gone; its pixels are looked at until then."""
    monkeypatch.setattr(_parcels, "QUICK", line)
    sizes = [LARGE + 1] * 4 + [SMALL] * 6 + [ON_LOOP + 1] * 3 + [10] * 3
    making, got = Making(sizes), []
    async for message in making.parcels.messages():
        for _ in range(4):
            await asyncio.sleep(0.001)
            found = numbers(message)
        got += found
    assert got == list(range(len(sizes)))


async def test_a_frame_that_has_become_large_or_small_goes_alone_and_in_its_turn():
    making = Making([10, 10, LARGE + 1, 10, LARGE + 1, LARGE, 10, 10])
    got = []
    async for message in making.parcels.messages():
        got += numbers(message)
        await making.idle()
    assert got == list(range(8))
    await making.task


async def test_what_was_made_before_an_error_is_sent():
    making = Making([10, 10], error=LimitError("65 frames granted at once"))
    assert [numbers(message) async for message in making.parcels.messages()] == [[0, 1]]
    with pytest.raises(LimitError):
        await making.task


@given(
    st.lists(st.sampled_from([1, 100, SMALL, SMALL + 1, LARGE, LARGE + 1]), max_size=12),
    st.lists(st.integers(0, 3), min_size=13, max_size=13),
    st.booleans(),
)
def test_whatever_comes_whenever_it_is_sent_each_comes_once_and_in_order(sizes, turns, together):
    async def run():
        making, got, most = Making(sizes, together=together), [], 0
        async for message in making.parcels.messages():
            got += numbers(message)
            most = max(most, len(message))
            for _ in range(turns[len(got) % 13]):
                await asyncio.sleep(0)
        await making.task
        assert got == list(range(len(sizes)))
        assert most <= AT_ONCE + 1 + 100 * len(sizes)

    asyncio.run(run())
