"""When frames arrived, by the camera's clock: not too late and not too early, through jitter, stalls and drift."""

from itertools import accumulate, pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rdaq_ophyd.frames import CameraClock
from rdaq_ophyd.frames._clock import DRIFT

NS = 1e-9
LEAST = 2e-3  # readout and transfer take no less, s
times = st.floats(1e-3, 5.0)
ppm = st.floats(-100, 100)


class Frames:
    """Frames of a camera: when they arrived, their time stamps, and when they were taken out of its buffers."""

    def __init__(self, periods, jitters, stalls, drift):
        exposed = list(accumulate(periods))
        self.arrived = [1000.0 + t + LEAST + j for t, j in zip(exposed, jitters, strict=False)]
        self.arrived = list(accumulate(self.arrived, max))
        self.stamps = [round((77.0 + t * (1 + drift * 1e-6)) / NS) for t in exposed[: len(self.arrived)]]
        self.exposed = [1000.0 + t for t in exposed]
        self.taken = list(accumulate((a + s for a, s in zip(self.arrived, stalls, strict=False)), max))

    def estimates(self, clock):
        return [now - clock.waited(stamp, now) for stamp, now in zip(self.stamps, self.taken, strict=False)]


@st.composite
def frames(draw, drift=ppm, jitter=0.01, stall=60.0):
    number = draw(st.integers(1, 40))

    def several(of):
        return draw(st.lists(of, min_size=number, max_size=number))

    return Frames(
        several(times),
        several(st.floats(0, jitter)),
        several(st.one_of(st.just(0.0), st.floats(0, stall))),
        draw(drift),
    )


@given(frames())
def test_between_its_exposure_and_its_retrieval_and_in_order(made):
    found = made.estimates(CameraClock())
    for exposed, estimate, taken in zip(made.exposed, found, made.taken, strict=False):
        assert exposed + LEAST - 1e-6 <= estimate <= taken
    assert all(b >= a - 1e-6 for a, b in pairwise(found))


@given(frames())
def test_once_one_was_taken_at_once_no_stall_makes_the_later_ones_late(made):
    assume(made.taken[0] == made.arrived[0])
    for exposed, estimate in zip(made.exposed, made.estimates(CameraClock()), strict=False):
        late = estimate - exposed - (made.arrived[0] - made.exposed[0])
        assert late <= (DRIFT + 1e-4) * (exposed - made.exposed[0]) + 1e-6


@given(frames(drift=st.just(0.0), jitter=0.0, stall=0.0))
def test_frames_that_are_taken_at_once_arrived_then(made):
    assert made.estimates(CameraClock()) == pytest.approx(made.taken, abs=2e-3)


@given(frames())
def test_without_time_stamps_it_is_the_moment_of_retrieval(made):
    made.stamps = [0] * len(made.stamps)
    assert made.estimates(CameraClock()) == made.taken


@given(frames(), st.integers(0, 39))
def test_a_counter_that_wraps_begins_anew(made, at):
    at = min(at, len(made.stamps) - 1)
    made.stamps = [*made.stamps[:at], *(stamp - made.stamps[at] + 1 for stamp in made.stamps[at:])]
    found = made.estimates(CameraClock())
    assert found[at] == pytest.approx(made.taken[at])
    assert all(exposed <= estimate for exposed, estimate in zip(made.exposed, found, strict=False))


@given(st.lists(st.tuples(st.integers(-(2**63), 2**64), st.floats(0, 10)), min_size=1))
def test_whatever_a_clock_says_no_frame_came_when_the_buffers_were_empty(said):
    clock, now = CameraClock(), 1000.0
    for ticks, wait in said:
        clock.empty(now)
        empty, now = now, now + wait
        assert empty - 1e-3 <= now - clock.waited(ticks, now) <= now


def test_an_exposure_that_gets_longer_moves_later_frames_only_until_the_buffers_are_empty():
    """Time stamps of the start of the exposure: what lies between them and the arrival grows by a second."""
    clock = CameraClock()
    assert clock.waited(round(1 / NS), 1001.01) == 0
    clock.empty(1003.0)
    assert clock.waited(round(2 / NS), 1003.01) == pytest.approx(0.01)


def test_armed_anew_it_forgets():
    clock = CameraClock()
    clock.waited(round(5 / NS), 1005.0)
    clock.empty(1000.0)
    clock.begin()
    assert clock.waited(round(6 / NS), 1010.0) == 0


@given(st.floats(1e-12, 1e-3), ppm)
def test_a_tick_is_whatever_the_camera_counts(tick, drift):
    clock = CameraClock(tick)
    assert clock.waited(round(10 / tick), 1000.0) == 0
    assert clock.waited(round(11 * (1 + drift * 1e-6) / tick), 1004.0) == pytest.approx(3.0, abs=3e-3)
