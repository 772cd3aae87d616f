"""Progress of plans: what they wait for, and their points, beside whatever hook was there before."""

from __future__ import annotations

import math

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from ophyd_async.core import init_devices
from ophyd_async.sim import SimMotor

from rdaq_ophyd.progress import POINTS
from rdaq_ophyd.startup import PlanProgress


@pytest.fixture
def motor(engine):
    with init_devices():
        made = SimMotor(name="stage", instant=False)
    engine(bps.mv(made.velocity, 20.0, made.acceleration_time, 0.01))
    return made


@pytest.fixture
def told(engine):
    found = []
    progress = PlanProgress(engine, found.append)
    yield found
    progress.close()
    assert engine.waiting_hook is None


def of(told, name):
    return [progress for progress in told if progress.name == name]


def test_a_move_is_followed_to_its_end(engine, motor, told):
    engine(bps.mv(motor, 4.0))
    moves = of(told, "stage")
    assert {move.target for move in moves} == {4.0}
    assert [move.current for move in moves] == sorted(move.current for move in moves)
    assert [move.done for move in moves] == [False] * (len(moves) - 1) + [True]
    engine(bps.mv(motor, 0.0))


def test_points_are_counted_where_their_number_is_known(engine, motor, told):
    engine(bp.scan([motor], motor, 0, 0.2, 5))
    points = of(told, POINTS)
    assert [point.current for point in points] == [0, 1, 2, 3, 4, 5, 5]
    assert {point.target for point in points} == {5}
    assert points[-1].done


def test_points_are_counted_where_it_is_not(engine, motor, told):
    @bpp.run_decorator()
    def plan():
        for _ in range(3):
            yield from bps.create("primary")
            yield from bps.read(motor)
            yield from bps.save()

    engine(plan())
    points = of(told, POINTS)
    assert [point.current for point in points] == [1, 2, 3, 3]
    assert all(math.isnan(point.target) for point in points)


def test_a_run_within_a_run_does_not_count(engine, motor, told):
    @bpp.set_run_key_decorator("inner")
    @bpp.run_decorator(md={"num_points": 99})
    def inner():
        yield from bps.trigger_and_read([motor])

    @bpp.run_decorator(md={"num_points": 1})
    def outer():
        yield from inner()
        yield from bps.trigger_and_read([motor])

    engine(outer())
    assert [(p.current, p.target) for p in of(told, POINTS)] == [(0, 1), (1, 1), (1, 1)]


def test_the_hook_that_was_there_is_served_too_and_comes_back(engine, motor):
    calls = []
    engine.waiting_hook = calls.append
    progress = PlanProgress(engine, lambda progress: 1 / 0)  # whoever shows it must not end the plan
    engine(bps.mv(motor, 0.1))
    progress.close()
    assert engine.waiting_hook == calls.append
    engine.waiting_hook = None
    assert calls[-1] is None
    assert len(calls) == 2
    engine(bps.mv(motor, 0.0))
