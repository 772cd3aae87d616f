"""Fits recover what curves were made of, whatever that is, and say when there is nothing to fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.plans._fits import beam_radius, beam_spot, malus, vertex

POWER = st.floats(1e-9, 1.0)


@settings(max_examples=25)
@given(
    center=st.floats(-1, 1), radius=st.floats(0.2, 1.0), power=POWER, offset=st.floats(-1e3, 1e3), falls=st.booleans()
)
def test_a_knife_edge(center, radius, power, offset, falls):
    x = np.linspace(-3, 3, 61)
    sign = -1 if falls else 1
    p = power * (0.1 + np.array([0.5 * (1 + sign * math.erf(math.sqrt(2) * (at - center) / radius)) for at in x]))
    for order in (slice(None), slice(None, None, -1)):
        edge = beam_radius((x + offset)[order], p[order])
        assert edge.center == pytest.approx(center + offset, abs=1e-4)
        assert edge.radius == pytest.approx(radius, rel=1e-3)
        assert edge.power == pytest.approx(power, rel=1e-4)
        assert edge.background == pytest.approx(0.1 * power, rel=1e-3)
        assert edge.residual < 1e-4


def test_errors_are_of_the_size_of_the_scatter():
    x, rng = np.linspace(-2, 2, 41), np.random.default_rng(1)
    clean = np.array([0.5 * math.erfc(math.sqrt(2) * at / 0.5) for at in x])
    fits = [beam_radius(x, clean + rng.normal(0, 0.01, x.size)) for _ in range(60)]
    scatter = np.std([fit.center for fit in fits])
    assert scatter == pytest.approx(np.mean([fit.center_error for fit in fits]), rel=0.4)


@pytest.mark.parametrize("p", [np.ones(30), np.random.default_rng(2).normal(1, 0.01, 30)])
def test_no_edge(p):
    assert beam_radius(np.linspace(0, 1, 30), p) is None
    assert beam_radius([0, 1, 2], [0, 1, 2]) is None


@given(angle=st.floats(0, 179.9), high=POWER, ratio=st.floats(2, 1e5), start=st.floats(-360, 360))
def test_malus(angle, high, ratio, start):
    theta = start + np.linspace(0, 160, 17)
    low = high / ratio
    found = malus(theta, low + (high - low) * np.cos(np.deg2rad(theta - angle)) ** 2)
    assert abs((found.angle_max - angle + 90) % 180 - 90) < 1e-6
    assert abs(found.angle_max - found.angle_min) == pytest.approx(90)
    assert found.maximum == pytest.approx(high)
    assert found.extinction_ratio == pytest.approx(ratio, rel=1e-4)


def test_extinction_below_the_noise_is_a_lower_bound():
    theta, rng = np.linspace(0, 160, 17), np.random.default_rng(3)
    found = malus(theta, np.cos(np.deg2rad(theta)) ** 2 + rng.normal(0, 1e-3, 17))
    assert 500 < found.extinction_ratio < math.inf
    assert found.angle_error < 0.1


def test_no_polariser():
    theta = np.linspace(0, 160, 17)
    assert malus(theta, np.ones(17)) is None
    assert malus(theta, np.random.default_rng(4).normal(1, 0.01, 17)) is None
    assert malus([0, 0, 90], [1, 1, 0]) is None


def test_few_points_of_scatter_are_hardly_ever_a_polariser():
    rng, theta = np.random.default_rng(5), np.linspace(0, 160, 5)
    assert sum(malus(theta, rng.normal(1, 0.01, 5)) is not None for _ in range(500)) <= 1


@settings(max_examples=20)
@given(x0=st.floats(-0.4, 0.4), y0=st.floats(-0.4, 0.4), radius=st.floats(0.3, 0.8), peak=POWER)
def test_a_spot(x0, y0, radius, peak):
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(-1, 1, 11), np.linspace(-1, 1, 9)))
    spot = beam_spot(x, y, peak * (0.2 + np.exp(-2 * ((x - x0) ** 2 + (y - y0) ** 2 / 1.44) / radius**2)))
    assert (spot.x, spot.y) == pytest.approx((x0, y0), abs=1e-3)
    assert (spot.radius_x, spot.radius_y) == pytest.approx((radius, 1.2 * radius), rel=1e-2)
    assert spot.peak == pytest.approx(peak, rel=1e-2)


def test_no_spot():
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)))
    assert beam_spot(x, y, np.ones_like(x)) is None
    assert beam_spot(x, y, x) is None
    assert beam_spot([0, 1], [0, 1], [0, 1]) is None


@given(place=st.floats(-0.9, 0.9), bend=st.floats(0.1, 10), offset=st.floats(-1e3, 1e3))
def test_a_vertex(place, bend, offset):
    x = np.linspace(-1, 1, 7)
    assert vertex(x + offset, -bend * (x - place) ** 2) == pytest.approx(place + offset, abs=1e-6)


def test_no_vertex():
    assert vertex([0, 1, 2], [1, 1, 1]) is None
    assert vertex([0, 1], [0, 1]) is None
    assert vertex([0, 1, 2, 3], [0, 1, 4, 9.5]) is None or vertex([1, 2, 3], [1, 4, 9]) is None


@pytest.mark.parametrize("points", [5, 6, 15])
def test_the_scatter_of_a_dark_meter_is_no_edge(points):
    random = np.random.default_rng(1)
    x = np.linspace(0, 2.4, points)
    assert [found for _ in range(40) if (found := beam_radius(x, random.normal(5e-8, 1e-11, points)))] == []
