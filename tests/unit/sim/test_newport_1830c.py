"""The simulated 1830-C answers as its manual says."""

from __future__ import annotations

import pytest

from rdaq_ophyd.sim import SimNewport1830C
from rdaq_ophyd.sim.newport_1830c import engineering


def watts(bench, wait=1.0):
    bench.after(wait)
    return float(bench.say("D?"))


def status(bench):
    return int(bench.say("Q?"))


def test_power_in_watts(meter):
    assert watts(meter) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("setting", "query", "reply"),
    [
        ("W0632", "W?", "0632"),
        ("w1064", "w?", "1064"),
        ("U2", "U?", "2"),
        ("R3", "R?", "3"),
        ("A1", "A?", "1"),
        ("Z1", "Z?", "1"),
        ("F1", "f?", "1"),
        ("G0", "G?", "0"),
        ("B0", "B?", "0"),
        ("K2", "K?", "2"),
        ("L1", "L?", "1"),
        ("M255", "M?", "255"),
        ("E0", "E?", "0"),
        ("U1\r", "U?\r", "1"),
    ],
)
def test_settings_are_kept_and_not_answered(meter, setting, query, reply):
    assert meter.say(setting) == ""
    assert meter.say(query) == reply
    assert not status(meter) & 3


@pytest.mark.parametrize(
    ("command", "bit"),
    [("W200", 1), ("W", 1), ("U9", 1), ("R9", 1), ("Wx", 1), ("H?", 2), ("*IDN?", 2), ("C1", 2), ("#" * 300, 2)],
)
def test_bad_commands_show_in_the_status_until_it_is_cleared(meter, command, bit):
    assert meter.say(command) == ""
    assert status(meter) & 3 == bit
    meter.say("C")
    assert status(meter) & 3 == 0


def test_a_reading_is_announced_and_taken_once(meter):
    meter.after(1)
    assert status(meter) & 128
    meter.say("D?")
    assert not status(meter) & 128
    meter.after(0.06)
    assert status(meter) & 128


def test_automatic_ranging_is_busy(meter):
    meter.after(0.01)
    assert status(meter) & 32
    assert not status(meter) & 128
    meter.after(0.5)
    assert not status(meter) & 32
    assert meter.instrument.range == 7


@pytest.mark.parametrize("power", [3e-10, 5e-9, 4e-6, 0.9e-3, 18e-3])
def test_automatic_ranging_finds_the_range(under_clock, power):
    bench = under_clock(SimNewport1830C(power, noise=0.0))
    assert watts(bench) == pytest.approx(power, rel=1e-2)
    assert bench.instrument.full_scale >= power


def test_over_range_and_saturation(under_clock):
    bench = under_clock(SimNewport1830C(3e-6, noise=0.0))
    bench.say("R2")
    assert watts(bench) == pytest.approx(2e-8)
    assert status(bench) & (4 | 8 | 128) == 8
    bright = under_clock(SimNewport1830C(0.1, noise=0.0))
    bright.after(1)
    assert status(bright) & (4 | 8) == 12
    bright.say("A1")
    bright.say("C")
    assert watts(bright) == pytest.approx(0.1)
    assert status(bright) & (4 | 8) == 0


def test_units(meter):
    meter.after(1)
    meter.say("S")
    meter.say("U3")
    assert meter.say("D?") == "0.00"
    meter.say("U2")
    assert meter.say("D?") == "0.00"
    meter.say("U4")
    assert meter.say("D?") == "1.0000"
    meter.say("Z1")
    meter.say("U3")
    assert meter.say("D?") == "-120.00"


def test_which_unit_is_dbm_can_be_chosen(under_clock):
    bench = under_clock(SimNewport1830C(1e-5, noise=0.0, dbm_unit=2))
    bench.after(1)
    bench.say("U2")
    assert bench.say("D?") == "-20.00"
    bench.say("U3")
    assert bench.say("D?") == "0.00"


def test_zero_takes_the_present_reading_away(meter):
    meter.after(1)
    meter.say("Z1")
    assert watts(meter) == 0.0
    meter.say("Z0")
    assert watts(meter) == pytest.approx(1e-3)


def test_hold_keeps_the_reading(under_clock):
    power = [1e-3]
    bench = under_clock(SimNewport1830C(lambda _: power[0], noise=0.0))
    bench.after(1)
    bench.say("G0")
    power[0] = 5e-4
    assert watts(bench) == pytest.approx(1e-3)
    bench.say("G1")
    assert watts(bench) == pytest.approx(5e-4)


def test_the_slow_filter_follows_slowly(under_clock):
    power = [1e-3]
    bench = under_clock(SimNewport1830C(lambda _: power[0], noise=0.0))
    bench.say("F1")
    bench.after(2)
    power[0] = 0.5e-3
    assert 0.5e-3 < watts(bench, 0.3) < 1e-3
    assert watts(bench, 1.0) == pytest.approx(0.5e-3)
    power[0] = 1e-3
    bench.say("F3")
    assert watts(bench, 0.06) == pytest.approx(1e-3)


def test_noise_is_small_and_the_same_every_time(under_clock):
    def series(seed):
        bench = under_clock(SimNewport1830C(1e-3, seed=seed))
        return [watts(bench, 0.5) for _ in range(5)]

    assert series(1) == series(1) != series(2)
    assert series(1) == pytest.approx([1e-3] * 5, rel=5e-3)
    assert len(set(series(1))) > 1


def test_the_service_request_follows_its_mask(meter):
    meter.after(1)
    assert not status(meter) & 64
    meter.say("M128")
    assert status(meter) & 64


def test_echo_makes_replies_ambiguous(meter):
    meter.say("E1")
    assert meter.say("W?") == "W?\n0800"
    assert meter.say("E0") == "E0"
    assert meter.say("W?") == "0800"


def test_a_long_silence_is_no_backlog(meter):
    meter.now += 1e6
    assert watts(meter, 0.0) == pytest.approx(1e-3) or watts(meter) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("value", "full_scale", "text"),
    [
        (5e-9, 2e-8, "5E-9"),
        (0.75e-9, 2e-9, "+.75E-9"),
        (-0.5e-9, 2e-9, "-.5E-9"),
        (1.2345e-3, 2e-3, "1.2345E-3"),
        (0.0, 2e-3, "0E-3"),
        (12e-3, 20e-3, "12E-3"),
    ],
)
def test_the_notation_of_watts(value, full_scale, text):
    assert engineering(value, full_scale) == text
