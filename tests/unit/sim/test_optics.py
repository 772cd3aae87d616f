"""The bench's optics: the physics one can check by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.sim import Beam, Light, Places, SimBench, Spot
from rdaq_ophyd.sim._optics import responsivity

BEAM = Beam()
PLACE = st.floats(-25, 25)
TURN = st.floats(-360, 360)


def test_all_at_zero_is_the_whole_beam():
    assert BEAM.watts(Places()) == pytest.approx(BEAM.power + BEAM.background, rel=1e-5)


@given(x=PLACE, y=PLACE, z=PLACE, polariser=TURN, waveplate=TURN)
def test_no_more_than_there_is_and_never_less_than_the_background(x, y, z, polariser, waveplate):
    passing = BEAM.watts(Places(x, y, z, polariser, waveplate)) - BEAM.background
    most = BEAM.power * BEAM.through_polariser(BEAM.axis)
    assert 0 <= passing <= most * 1.03


def test_malus():
    along, across = BEAM.through_polariser(BEAM.axis), BEAM.through_polariser(BEAM.axis + 90)
    assert across / along == pytest.approx(BEAM.extinction)
    assert BEAM.through_polariser(BEAM.axis + 60) / along == pytest.approx(0.25, abs=1e-3)
    assert BEAM.through_polariser(0) == 1
    assert BEAM.through_polariser(BEAM.axis + 50, 25) == pytest.approx(along)  # the wave plate turns by twice its angle


def test_the_focus_is_the_narrowest_place():
    assert BEAM.radius_at(0) == pytest.approx(BEAM.radius)
    assert BEAM.radius_at(BEAM.focus) == BEAM.waist
    assert BEAM.radius_at(BEAM.focus - 1) == pytest.approx(BEAM.radius_at(BEAM.focus + 1))
    assert BEAM.radius_at(BEAM.focus + 1) > BEAM.waist
    assert Beam(focus=0).radius_at(9) == BEAM.radius


def test_the_pinhole_takes_the_middle_of_the_beam():
    x, y = BEAM.pinhole
    middle = BEAM.through_pinhole(Places(x, y))
    assert middle == pytest.approx(1 - math.exp(-2 * 0.1**2))
    assert BEAM.through_pinhole(Places(x + BEAM.radius, y)) == pytest.approx(middle * math.exp(-2))
    assert BEAM.through_pinhole(Places(x, y, BEAM.focus)) > 2 * middle


def test_light_needs_emission_and_an_open_shutter():
    assert Light().strength == 1
    assert Light(emitting=False).strength == Light(open=False).strength == 0
    assert Light(960).strength == pytest.approx(0.75)
    assert Light(2000).strength == 0
    assert BEAM.watts(Places(), Light(open=False)) == BEAM.background


def test_a_camera_sees_the_size_of_the_spot_and_its_light():
    assert BEAM.spot(Places()) == Spot(1, 1)
    assert BEAM.spot(Places(x=9, y=9)) == Spot(1, 1)  # it lies on the plate, wherever that stands
    assert BEAM.spot(Places(z=BEAM.focus)).size == pytest.approx(BEAM.waist / BEAM.radius)
    assert BEAM.spot(Places(polariser=BEAM.axis + 90)).power < 2e-3
    assert BEAM.spot(Places(), Light(open=False)).power == 0
    assert BEAM.spot(Places(), Light(level=0.5)).power == 0.5


def test_the_bench_misreads_light_that_the_meter_is_not_set_to():
    light = Light(900.0)
    bench = SimBench(light=lambda _: light)
    wrong = bench.power(0.0)
    bench.newport_1830c.settings["W"] = 900
    right = bench.power(0.0)
    assert right == pytest.approx(BEAM.watts(Places(), light))
    assert wrong / right == pytest.approx(responsivity(900) / responsivity(800))


def test_the_lasers_light_is_the_beam():
    """The laser tells another thread what leaves it, now and a little later, without being asked anything."""
    bench = SimBench(shutter_open=False)
    laser, whole = bench.maitai, pytest.approx(BEAM.power + BEAM.background, rel=1e-5)
    assert bench.power(0.0) == BEAM.background
    laser.feed(b"SHUTTER 1\n", 10.0)
    assert bench.power(10.0) == BEAM.background
    assert bench.power(10.4) == whole
    laser.feed(b"WAV 820\n", 11.0)
    assert laser.light(11.5).wavelength == pytest.approx(810)
    assert laser.light(13).wavelength == 820
    laser.feed(b"OFF\n", 14.0)
    assert bench.power(14.0) < 1.1 * BEAM.background
    laser.feed(b"WAV 800\n", 14.0)
    laser.feed(b"ON\n", 16.0)
    assert not laser.light(16.1).emitting
    assert laser.light(16.4).level == pytest.approx(0.8)
    assert bench.power(17.0) == whole


def test_a_laser_that_nobody_feeds_goes_dark():
    bench = SimBench()
    bench.maitai.feed(b"TIM:WATC 3\n", 1.0)
    assert bench.power(3.9) > BEAM.background
    assert bench.power(4.1) == BEAM.background
    assert SimBench().power(1e6) > BEAM.background  # until a driver arms it
