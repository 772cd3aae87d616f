"""The window of a reader of frames: as many on their way as the line holds, none that lies about."""

from __future__ import annotations

import copy
import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rdaq_ophyd.client._window import MEMORY, MOST, MOST_BYTES, Window

FRAME = 512 * 512 * 2


class Line:
    """A line in virtual time, with a server and its camera at the far end and a reader who draws at this one.

    The server uses a credit when the message before begins to be sent, for the newest frame; where it has sent that one
    already, for the next. ``jitter`` holds frames back, and those behind them, by so many seconds on the mean; of each
    ``pause`` seconds the line carries nothing for the second half.
    """

    def __init__(self, window, jitter=0.0, pause=0.0):
        self.window, self.jitter, self.pause = window, jitter, pause
        self.now = self.free = self.begun = 0.0
        self.newest = -1
        self.arriving, self.lying = [], []
        self._random = random.Random(1)

    def draw(self, *, rtt, draw, rate=float("inf"), source=1e6, seconds=3.0, nbytes=FRAME):
        """A reader who takes ``draw`` s a frame, over ``rate`` bytes/s, from ``source`` frames/s.

        Returns of what was drawn when it was taken, and its age: seconds since the server chose it.
        """
        drawn, end = [], self.now + seconds
        self._send(rtt, rate, source, nbytes)
        while self.now < end:
            asked = self.now
            while self.arriving and (not self.lying or self.arriving[0][0] <= asked):
                when, chosen, waited = self.arriving.pop(0)
                self.window.arrived(nbytes, when, waited)
                self.lying.append(chosen)
                self.now = max(self.now, when)
            drawn.append((self.now, self.now - self.lying.pop(0)))
            self.window.taken(self.now - asked, self.now)
            self._send(rtt, rate, source, nbytes)
            self.now += draw
        return drawn

    def _send(self, rtt, rate, source, nbytes):
        """A frame for each credit that is granted now."""
        for _ in range(self.window.grant(self.now)):
            credit = self.now + rtt / 2
            chosen = max(credit, self.begun)
            if (frame := math.floor(chosen * source)) <= self.newest:
                frame = self.newest + 1
                chosen = frame / source
            self.newest = frame
            self.begun = self._running(max(chosen, self.free))
            self.free = self.begun + nbytes / rate
            late = self._random.expovariate(1 / self.jitter) if self.jitter else 0.0
            when = max(self.free + rtt / 2 + late, self.arriving[-1][0] if self.arriving else 0.0)
            self.arriving.append((when, chosen, chosen - credit))

    def _running(self, when):
        return when + self.pause - when % self.pause if self.pause and when % self.pause > self.pause / 2 else when


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


@pytest.mark.parametrize(
    ("rtt", "source", "enough"), [(0.0005, 1000, 16), (0.002, 200, 8), (0.02, 60, 6), (0.02, 200, 13)]
)
def test_a_camera_that_is_slow_needs_no_more_than_its_frames_take(rtt, source, enough):
    line = Line(window := Window())
    drawn = line.draw(rtt=rtt, draw=1e-4, source=source, seconds=60)
    assert len(of_late(drawn, 30)) >= 30 * source - 1
    assert window.size <= enough
    assert max(of_late(drawn)) <= rtt / 2 + 2e-3
    slow = line.draw(rtt=rtt, draw=1 / 30, source=source)
    assert max(age for _, age in slow) <= (enough + 1) / 30


def test_credits_that_lie_at_the_server_are_taken_back():
    """The line held many once; now its camera is slow. None of its frames is missed while they become fewer."""
    line = Line(window := Window())
    line.draw(rtt=0.02, draw=1e-4, rate=500e6, seconds=10)
    assert window.size > 40
    line.newest = math.floor(line.now * 200)
    drawn = line.draw(rtt=0.02, draw=1e-4, source=200, seconds=60)
    assert window.size <= 13
    assert len(drawn) >= 60 * 200 - 1


def test_a_camera_of_many_small_frames_leaves_it_as_it_is():
    """Two periods are less than what counts as a lack: nothing is taken back that would be asked for at once."""
    sizes = []

    class Kept(Window):
        def taken(self, waited, now, *, is_last=True):
            super().taken(waited, now, is_last=is_last)
            sizes.append(self.size)

    line = Line(Kept())
    line.draw(rtt=0.002, draw=1e-4, source=5000, seconds=10, nbytes=8192)
    sizes.clear()
    line.draw(rtt=0.002, draw=1e-4, source=5000, seconds=10, nbytes=8192)
    assert sum(before != after for before, after in itertools.pairwise(sizes)) < 200


def test_a_camera_that_is_slow_is_not_missed_for_what_comes_late():
    drawn = Line(Window(), jitter=0.005).draw(rtt=0.002, draw=1e-4, source=200, seconds=60)
    assert len(of_late(drawn, 30)) >= 0.997 * 30 * 200


@pytest.mark.parametrize(("rtt", "pause"), [(0.002, 0.05), (0.02, 0.03), (0.02, 0.05), (0.04, 0.05), (0.04, 0.06)])
def test_a_line_that_pauses_is_kept_busy_while_it_runs(rtt, pause):
    drawn = Line(Window(), pause=pause).draw(rtt=rtt, draw=2e-4, rate=1e9, seconds=10)
    assert len(of_late(drawn, 5)) * FRAME >= 0.45 * 5 * 1e9


@pytest.mark.parametrize("rtt", [0.0005, 0.002, 0.02])
def test_a_line_that_is_late_now_and_then_holds_more(rtt):
    drawn = Line(Window(), jitter=0.002).draw(rtt=rtt, draw=2e-4, rate=1e9, seconds=10)
    assert len(of_late(drawn, 5)) * FRAME >= 0.88 * 5 * 1e9


def test_a_server_that_does_not_tell_how_long_credits_lay_gives_what_the_line_can():
    class Silent(Window):
        def arrived(self, nbytes, now, waited=0.0):
            super().arrived(nbytes, now)

    drawn = simulate(Silent(), rtt=0.02, draw=1e-4, rate=500e6)
    assert len(of_late(drawn)) * FRAME >= 0.95 * 500e6


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


def test_a_few_frames_that_come_quickly_at_first_open_it_a_little():
    line = Line(window := Window())
    line.draw(rtt=0.0005, draw=1e-4, rate=500e6, seconds=0.006)
    assert window.size <= 8


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

    @rule(seconds=st.floats(0, 3, allow_subnormal=False))
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
