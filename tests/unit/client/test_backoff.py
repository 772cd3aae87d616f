"""Waits that double up to a bound, and an end to the patience."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.client import _backoff
from rdaq_ophyd.client._backoff import FIRST, MOST, Backoff
from rdaq_ophyd.client._channel import check_patience
from rdaq_ophyd.errors import LimitError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(_backoff, "time", made)
    return made


def test_waits_grow_and_stay_bounded(clock):
    tries = Backoff(math.inf)
    waits = [tries.failed() for _ in range(20)]
    for number, wait in enumerate(waits):
        whole = min(FIRST * 2**number, MOST)
        assert whole / 2 <= wait <= whole


def test_it_gives_up_when_the_patience_is_over_and_not_before(clock):
    tries = Backoff(3.0)
    spent = 0.0
    while (wait := tries.failed()) is not None:
        spent += wait
        clock.now += wait
    assert spent == pytest.approx(3.0)
    tries.well()
    assert tries.failed() <= FIRST


@given(st.floats(0, 100), st.lists(st.floats(0, 50), max_size=30))
def test_however_long_the_tries_take_no_wait_goes_beyond_the_end(patience, tries_take):
    clock = Clock()
    original, _backoff.time = _backoff.time, clock
    try:
        tries, begun = Backoff(patience), clock.now
        for seconds in tries_take:
            wait = tries.failed()
            if wait is None:
                assert clock.now - begun >= patience - 1e-6
                return
            assert clock.now + wait - begun <= patience + 1e-6
            clock.now += wait + seconds
    finally:
        _backoff.time = original


@pytest.mark.parametrize("patience", [-1.0, math.nan])
def test_a_patience_that_is_none_is_refused(patience):
    with pytest.raises(LimitError, match="patience"):
        check_patience(patience)
