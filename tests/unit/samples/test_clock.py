"""When a sample was taken, from when samples arrived."""

import pytest

from rdaq_ophyd.samples import HostClock


def test_the_earliest_arrival_tells_most():
    clock = HostClock(0.001)
    for count, late in ((100, 0.03), (200, 0.002), (300, 0.5)):
        clock.arrived(count, 1000.0 + count * 0.001 + late)
    assert clock.time(0) == pytest.approx(1000.002)
    assert clock.time(250) == pytest.approx(1000.252)


def test_a_start_known_from_the_host_is_an_upper_bound():
    clock = HostClock(0.001)
    clock.begin(1000.0)
    clock.arrived(100, 1000.4)
    assert clock.time(0) == 1000.0
    clock.begin()
    clock.arrived(100, 1000.4)
    assert clock.time(0) == pytest.approx(1000.3)


@pytest.mark.parametrize("ppm", [-100, 100])
def test_a_card_whose_clock_is_off_is_followed(ppm):
    clock, rate = HostClock(0.001), 1000 * (1 + ppm * 1e-6)
    for second in range(1, 601):
        clock.arrived(1000 * second, 5000.0 + 1000 * second / rate)
    taken = 5000.0 + 600_000 / rate
    assert clock.time(600_000) == pytest.approx(taken, abs=0.0025)
    assert abs(5000.0 + 600.0 - taken) > 0.05, "by its nominal rate it would be far off"
