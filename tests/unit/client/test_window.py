"""The window of a reader of frames: as many on their way as the line holds, none that lies about."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rdaq_ophyd.client._window import MEMORY, MOST, MOST_BYTES, Window
from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.server._frames import _Credits

FRAME = 512 * 512 * 2


class Line:
    """A line in virtual time, with a camera at its far end and a reader who draws at this one."""

    def __init__(self, window):
        self.window = window
        self.now = self.free = self.exposed = 0.0
        self.credits, self.arriving, self.lying = [], [], []

    def draw(self, *, rtt, draw, rate=float("inf"), source=float("inf"), seconds=3.0, nbytes=FRAME):
        """A reader who takes ``draw`` s a frame, over ``rate`` bytes/s, from ``source`` frames/s.

        Returns of what was drawn when it was taken, and its age: seconds since it was sent.
        """
        drawn, end = [], self.now + seconds
        self._grant(rtt)
        while self.now < end:
            asked = self.now
            self._send(rtt, rate, source, nbytes)
            while self.arriving and (not self.lying or self.arriving[0][0] <= asked):
                when, sent = self.arriving.pop(0)
                self.window.arrived(nbytes, when)
                self.lying.append(sent)
                self.now = max(self.now, when)
            drawn.append((self.now, self.now - self.lying.pop(0)))
            self.window.taken(self.now - asked, self.now)
            self._grant(rtt)
            self.now += draw
        return drawn

    def _grant(self, rtt):
        self.credits += [self.now + rtt / 2] * self.window.grant(self.now)

    def _send(self, rtt, rate, source, nbytes):
        """A frame for each credit: when the line is free, and the camera has a new one."""
        for credit in self.credits:
            start = max(credit, self.free, self.exposed + 1 / source)
            self.free, self.exposed = start + nbytes / rate, start
            self.arriving.append((self.free + rtt / 2, start))
        self.credits.clear()


def simulate(window, **how):
    return Line(window).draw(**how)


def of_late(drawn, seconds=1.0):
    last = drawn[-1][0]
    return [age for when, age in drawn if when > last - seconds]


@pytest.mark.parametrize("rtt", [0.0005, 0.002, 0.02, 0.1])
def test_a_quick_reader_gets_what_the_line_can(rtt):
    rate = 500e6
    drawn = simulate(Window(), rtt=rtt, draw=1e-4, rate=rate)
    assert len(of_late(drawn)) * FRAME >= 0.95 * min(rate, (MOST - 16) * FRAME / rtt)


@pytest.mark.parametrize("rtt", [0.0005, 0.002, 0.02])
def test_who_draws_30_a_second_gets_frames_that_are_one_period_old(rtt):
    window = Window()
    drawn = simulate(window, rtt=rtt, draw=1 / 30, rate=500e6, source=200)
    assert window.size == 1
    assert max(of_late(drawn)) <= 1 / 30 + 1e-3
    assert len(of_late(drawn)) >= 29


def test_a_camera_that_is_slow_needs_no_more_than_its_frames_take():
    window = Window()
    drawn = simulate(window, rtt=0.02, draw=1e-4, source=200)
    assert len(of_late(drawn)) >= 199
    assert window.size <= 12
    assert max(of_late(drawn)) <= 0.012


def test_a_reader_that_becomes_slow_draws_few_old_frames():
    line = Line(window := Window())
    line.draw(rtt=0.02, draw=1e-4, rate=500e6)
    assert window.size > 16
    slow = line.draw(rtt=0.02, draw=1 / 30, rate=500e6)
    assert window.size == 1
    assert max(of_late(slow)) <= 1 / 30 + 1e-3


def test_what_the_start_opened_too_far_is_old_for_half_a_second():
    """A viewer's first frames are drawn as they come, and the next ones 30 a second: a look each eighth takes 0.3 s."""
    line = Line(window := Window())
    line.draw(rtt=0.02, draw=1e-4, source=200, seconds=0.1)
    assert window.size > 4
    drawn = line.draw(rtt=0.02, draw=1 / 30, source=200, seconds=2)
    old = [when - drawn[0][0] for when, age in drawn if age > 1 / 30 + 1e-3]
    assert old[-1] < 0.6


@pytest.mark.parametrize("stall", [0.03, 0.1, 0.3])
def test_a_machine_that_stood_still_once_makes_no_frames_old(stall):
    line = Line(window := Window())
    line.draw(rtt=0.002, draw=1 / 30, source=200, seconds=2)
    assert window.size == 1
    line.free = line.now + stall
    drawn = line.draw(rtt=0.002, draw=1 / 30, source=200, seconds=2)
    assert window.size == 1
    assert max(age for _, age in drawn[2:]) <= 1 / 30 + 1e-3


def test_a_route_that_has_become_longer_is_measured_anew():
    line = Line(Window())
    line.draw(rtt=0.002, draw=1e-4, rate=500e6)
    longer = line.draw(rtt=0.04, draw=1e-4, rate=500e6, seconds=2 * MEMORY + 2)
    assert len(of_late(longer)) * FRAME >= 0.95 * 500e6


def test_it_opens_within_a_few_round_trips():
    """Large frames over a long line: 60 of them a second fit, and a look each eighth frame would take half a second."""
    line = Line(window := Window())
    line.draw(rtt=0.02, draw=1e-3, rate=500e6, seconds=0.25, nbytes=8 << 20)
    opened = window.size
    drawn = line.draw(rtt=0.02, draw=1e-3, rate=500e6, seconds=1.0, nbytes=8 << 20)
    assert opened >= 3
    assert len(drawn) * (8 << 20) >= 0.95 * 500e6


def test_large_frames_are_bounded_by_their_bytes():
    window = Window()
    simulate(window, rtt=1.0, draw=1e-4, rate=1e9, nbytes=16 << 20, seconds=20)
    assert 2 <= window.size <= MOST_BYTES // (16 << 20)


def test_a_server_grants_as_many_as_a_reader_may_ask_for():
    granted = _Credits()
    granted.add(MOST)
    with pytest.raises(LimitError, match=f"{MOST + 1} frames granted at once"):
        granted.add(1)


def test_many_credits_share_a_message():
    window = Window(40)
    assert window.grant(0.0) == 40
    granted = []
    for number in range(40):
        window.arrived(1, 0.1)
        window.taken(0.0, 0.1 + number / 100)
        granted.append(window.grant(0.1))
    assert set(granted) == {0, 10}
    assert sum(granted) == 40


@pytest.mark.parametrize(("size", "at_once"), [(1, 1), (3, 1), (5, 1), (6, 2), (7, 2), (10, 3), (64, 16)])
def test_a_quarter_is_granted_at_once(size, at_once):
    window = Window(size)
    window.grant(0.0)
    granted = []
    for _ in range(at_once):
        window.arrived(1, 0.1)
        window.taken(0.0, 0.1)
        granted.append(window.grant(0.1))
    assert granted == [0] * (at_once - 1) + [at_once]


def test_frames_that_came_in_one_message_are_none_too_many():
    window = Window()
    now = 0.0
    for _ in range(200):  # messages of 32, each when the reader has drawn those before, and has waited
        window.grant(now)
        now += 0.01
        for _ in range(32):
            window.arrived(2048, now)
        for left in range(31, -1, -1):
            window.taken(0.01 if left == 31 else 0.0, now, is_last=not left)
            now += 0.0002
    assert window.size >= 32
    for _ in range(40):  # two of them always lie ready: one is too much
        window.grant(now)
        for _ in range(32):
            window.arrived(2048, now)
        for left in range(31, -1, -1):
            window.taken(0.0, now, is_last=not left)
            window.ready += left == 0
        now += 0.01
    assert window.size < 32


def test_a_fixed_window_stays():
    line = Line(window := Window(5))
    line.draw(rtt=0.02, draw=1e-4)
    line.draw(rtt=0.02, draw=1.0, seconds=30)
    assert window.size == 5


@given(st.integers(1, MOST), st.integers(1, 1 << 30))
def test_frames_that_nobody_granted_do_no_harm(size, nbytes):
    window = Window(size)
    for _ in range(3):
        window.arrived(nbytes, 1.0)
    assert window.grant(1.0) == (size - 3 if size - 3 >= max(1, (size + 2) // 4) else 0)


class Accounts(RuleBasedStateMachine):
    """Whatever comes in whatever order: never more out than the window's bound, and a reader is never stuck."""

    def __init__(self):
        super().__init__()
        self.window, self.now, self.coming, self.ready = Window(), 0.0, 0, 0

    @rule(seconds=st.floats(0, 3))
    def later(self, seconds):
        self.now += seconds

    @rule()
    def grant(self):
        self.coming += self.window.grant(self.now)

    @rule(nbytes=st.integers(1, 1 << 26))
    def arrive(self, nbytes):
        if self.coming:
            self.coming, self.ready = self.coming - 1, self.ready + 1
            self.window.arrived(nbytes, self.now)

    @rule(share=st.floats(0, 1))
    def take(self, share):
        if self.ready:
            self.ready -= 1
            self.window.taken(share * 0.1, self.now)

    @invariant()
    def counted(self):
        assert (self.window.coming, self.window.ready) == (self.coming, self.ready)
        assert 1 <= self.window.size <= MOST
        assert self.coming + self.ready <= MOST
        if not self.coming and not self.ready:
            assert copy.deepcopy(self.window).grant(self.now) >= 1


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=40, deadline=None)
