"""Whatever is sent to the simulated 1830-C, it lives and its readings are numbers."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.sim import SimNewport1830C
from rdaq_ophyd.sim.newport_1830c import engineering

commands = st.builds(
    "{}{}".format, st.sampled_from("ABCDEFGHKLMQRSUWZ"), st.sampled_from(["?", "", *"0123456789", "0632"])
)
gaps = st.floats(0, 3)


def asked(sim, now, data):
    return b"".join(reply.data for reply in sim.feed(data, now))


@given(st.lists(st.tuples(st.binary(max_size=40), gaps), max_size=30))
def test_any_bytes_are_survived(chunks):
    sim, now = SimNewport1830C(), 0.0
    for data, gap in chunks:
        asked(sim, now, data)
        now += gap
    assert 0 <= int(asked(sim, now, b"\ne0\nq?\n").split()[-1]) <= 255


@given(st.lists(st.tuples(commands, gaps), max_size=40), st.floats(0, 0.1))
def test_readings_are_numbers_after_any_commands(sent, power):
    sim, now = SimNewport1830C(power), 0.0
    for command, gap in sent:
        asked(sim, now, command.encode() + b"\n")
        now += gap
    asked(sim, now, b"E0\nU1\n")
    assert math.isfinite(float(asked(sim, now, b"D?\n")))
    assert 0 <= int(asked(sim, now, b"Q?\n")) <= 255


@given(st.floats(-3e-2, 3e-2), st.integers(1, 8))
def test_the_notation_of_watts_keeps_the_value(watts, number):
    full_scale = 2e-9 * 10.0 ** (number - 1)
    text = engineering(watts, full_scale)
    assert abs(float(text) - watts) <= 0.51e-4 * 10.0 ** (3 * math.floor(math.log10(full_scale) / 3))
