"""Places for WebSockets: a share for each client, and those that ask for nothing make room."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.server._web_places import Places


class Socket:
    """What has a place, or not."""

    def __init__(self, stack, places, who, *, idle=True):
        self.idle, self.ended = idle, False
        self.inside = stack.enter_context(places.one(who, lambda: self.idle, self.end))

    def end(self):
        self.ended = True


@pytest.fixture
def stack():
    with ExitStack() as made:
        yield made


def test_the_oldest_idle_one_makes_room_for_a_new_one(stack):
    places = Places(3, 3)
    busy = Socket(stack, places, "a", idle=False)
    old, young = Socket(stack, places, "a"), Socket(stack, places, "a")
    new = Socket(stack, places, "b")
    assert [each.inside for each in (busy, old, young, new)] == [True] * 4
    assert [each.ended for each in (busy, old, young, new)] == [False, True, False, False]
    assert len(places) == 3


def test_where_none_is_idle_there_is_no_room_until_one_leaves():
    places = Places(2, 2)
    with ExitStack() as outer:
        for _ in range(2):
            Socket(outer, places, "a", idle=False)
        with ExitStack() as inner:
            assert not Socket(inner, places, "b").inside
    with ExitStack() as later:
        assert Socket(later, places, "b").inside


def test_one_client_has_its_share_and_ends_only_its_own(stack):
    places = Places(4, 2)
    other = Socket(stack, places, "b")
    mine = [Socket(stack, places, "a"), Socket(stack, places, "a")]
    assert Socket(stack, places, "a").inside
    assert [other.ended, mine[0].ended, mine[1].ended] == [False, True, False]
    mine[1].idle = False
    Socket(stack, places, "a", idle=False)  # in the place of the one before
    assert not Socket(stack, places, "a").inside
    assert Socket(stack, places, "b").inside  # there is room for others all the same


def test_it_is_taken_from_whoever_has_most(stack):
    places = Places(4, 4)
    few = Socket(stack, places, "few")
    many = [Socket(stack, places, "many") for _ in range(3)]
    assert Socket(stack, places, "new").inside
    assert not few.ended
    assert many[0].ended


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_never_more_than_there_are_and_none_is_ended_that_is_busy(comers):
    places = Places(5, 3)
    with ExitStack() as stack:
        sockets = []
        for who, idle in comers:
            sockets.append((who, Socket(stack, places, who, idle=idle)))
            there = [who for who, each in sockets if each.inside and not each.ended]
            assert len(there) == len(places) <= 5
            assert all(there.count(name) <= 3 for name in "abc")
        assert not any(each.ended for _, each in sockets if not each.idle)
    assert len(places) == 0
