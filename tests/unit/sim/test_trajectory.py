"""Motion: where it ends, how fast, and that it never leaves its room."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from rdaq_ophyd.sim._trajectory import Trajectory, brake, move


def sampled(trajectory, n=400):
    start = trajectory.pieces[0].t
    return [trajectory.state(start + (trajectory.end - start) * i / n) for i in range(n + 1)]


@pytest.mark.parametrize(("target", "seconds"), [(20.0, 2.0 + 10.0 / 10.0), (10.0, 2.0), (2.5, 1.0), (-20.0, 3.0)])
def test_a_move_takes_the_time_of_its_trapezoid(target, seconds):
    trajectory = move(5.0, 0.0, 0.0, target, 10.0, 10.0, 10.0, 100.0)
    assert trajectory.end - 5.0 == pytest.approx(seconds)
    assert trajectory.state(trajectory.end) == (target, 0.0)
    assert max(abs(v) for _, v in sampled(trajectory)) <= 10.0 + 1e-9


def test_acceleration_and_deceleration_differ():
    trajectory = move(0.0, 0.0, 0.0, 100.0, 10.0, 5.0, 20.0, 200.0)
    assert trajectory.state(2.0) == pytest.approx((10.0, 10.0))
    assert trajectory.state(trajectory.end - 0.5)[1] == pytest.approx(10.0)


def test_a_new_target_behind_turns_the_axis_round():
    trajectory = move(0.0, 5.0, 10.0, 4.0, 10.0, 10.0, 10.0, 50.0)
    positions = [p for p, _ in sampled(trajectory)]
    assert max(positions) == pytest.approx(10.0, abs=0.05)
    assert trajectory.state(math.inf) == (4.0, 0.0)


def test_a_target_too_near_to_stop_before_it_is_overrun_and_reached_from_beyond():
    trajectory = move(0.0, 0.0, 10.0, 1.0, 10.0, 10.0, 10.0, 50.0)
    assert max(p for p, _ in sampled(trajectory)) == pytest.approx(5.0, abs=0.05)
    assert trajectory.state(math.inf) == (1.0, 0.0)


def test_a_slower_speed_is_reached_by_braking():
    trajectory = move(0.0, 0.0, 10.0, 40.0, 2.0, 10.0, 10.0, 50.0)
    assert trajectory.state(0.8)[1] == pytest.approx(2.0)
    assert trajectory.state(math.inf) == (40.0, 0.0)


def test_braking_is_harder_where_the_room_is_short():
    assert brake(0.0, 0.0, 10.0, 10.0).target == pytest.approx(5.0)
    assert brake(0.0, 0.0, -10.0, 10.0, room=1.0).target == pytest.approx(-1.0)
    assert brake(0.0, 3.0, 10.0, 10.0, room=0.0).target == 3.0
    assert move(0.0, 3.0, 10.0, 0.0, 10.0, 10.0, 10.0, 0.0).state(0.0) == (3.0, 0.0)


def test_the_state_is_continuous():
    trajectory = move(0.0, 0.0, 7.0, -3.0, 5.0, 20.0, 10.0, 50.0)
    states = sampled(trajectory, 2000)
    assert max(abs(b[0] - a[0]) for a, b in pairwise(states)) < 0.02
    assert max(abs(b[1] - a[1]) for a, b in pairwise(states)) < 0.05


def test_time_at_finds_the_crossing_and_knows_when_there_is_none():
    trajectory = move(0.0, 0.0, 0.0, 20.0, 10.0, 10.0, 10.0, 50.0)
    when = trajectory.time_at(7.0)
    assert trajectory.state(when)[0] == pytest.approx(7.0)
    assert trajectory.time_at(21.0) is None
    assert trajectory.time_at(-1.0) is None
    assert Trajectory.rest(3.0, 1.0).time_at(2.0) is None


def test_rest_is_rest():
    assert Trajectory.rest(3.0, 1.5).state(0.0) == (1.5, 0.0)
    assert Trajectory.rest(3.0, 1.5).state(9.0) == (1.5, 0.0)
