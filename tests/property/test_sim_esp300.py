"""Whatever is sent to the simulated ESP300, it lives, stays within its limits and keeps its errors in order."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from rdaq_ophyd.sim import SimEsp300
from rdaq_ophyd.sim._esp300_axis import is_finite
from rdaq_ophyd.sim._esp300_tables import MESSAGES, PARAMETERS, STAGES

OTHERS = "TE TB TS PH VE ST AB WS WT RS TP DP PA PR MV MT OR MO MF DH SN ID WP XX"
NAMES = [*PARAMETERS, *OTHERS.split()]
numbers = st.floats(-40, 40).map(lambda x: f"{x:.4f}")
texts = st.one_of(st.sampled_from(["", "?", "+", "-"]), numbers, st.text(max_size=6), st.floats().map(str))
commands = st.builds("{}{}{}".format, st.sampled_from(["", "1", "02", "3", "4", "123"]), st.sampled_from(NAMES), texts)
gaps = st.floats(0, 5)

MOTIONS = st.one_of(
    numbers.map("1PA{}".format),
    numbers.map("1PR{}".format),
    st.sampled_from(
        ["1MV+", "1MV-", "1ST", "ST", "1MF", "1MO", "AB", "1VA40", "1VA1", "1AG2", "1AG160", "1AC5", "1AC160"]
    ),
)


def fed(sim, now, data):
    return b"".join(reply.data for reply in sim.feed(data, now))


@given(st.lists(st.tuples(st.binary(max_size=40), gaps), max_size=30))
def test_any_bytes_are_survived(chunks):
    sim, now = SimEsp300(latency=0.001), 0.0
    for data, gap in chunks:
        fed(sim, now, data)
        now += gap
    # With the waits of at most a minute each over, it answers as ever.
    now += 1e6
    assert fed(sim, now, b"\r;TE?\r") + b"".join(r.data for r in sim.advance(now + 1)) != b""


@given(st.lists(st.tuples(commands, gaps), max_size=30))
@example([("1MO", 0.0), ("1DH1e9", 0.0), ("1MV+", 1.0), ("1PR-1", 1.0)])
@example([("1MO", 0.0), ("1SU1e9", 0.0), ("1SN0", 0.0), ("1PA1e300", 1.0), ("1TP?", 1.0)])
def test_any_command_is_survived_and_positions_stay_numbers(sent):
    sim, now = SimEsp300(), 0.0
    for command, gap in sent:
        fed(sim, now, command.encode("utf-8") + b"\r")
        now += gap
        sim.advance(now)
        for axis in sim.axes.values():
            assert math.isfinite(axis.position(now))
            assert abs(axis.trajectory.state(now)[0]) <= axis.hard_limit + 1e-9


@given(st.lists(st.tuples(MOTIONS, gaps), min_size=1, max_size=25))
def test_motion_never_leaves_the_limits(sent):
    sim, now = SimEsp300(), 0.0
    fed(sim, now, b"1MO\r")
    for command, gap in sent:
        fed(sim, now, command.encode() + b"\r")
        for _ in range(20):
            now += gap / 20
            sim.advance(now)
            assert -25.0 - 1e-6 <= sim.axes[1].position(now) <= 25.0 + 1e-6


@given(
    st.integers(0, 6),
    st.booleans(),
    st.booleans(),
    st.floats(-24, 24),
    st.lists(st.tuples(st.sampled_from(["ST", "1ST", "1PA5", "1MF", "AB", "1OR3"]), gaps)),
)
def test_a_home_search_ends_whatever_the_stage_has(mode, home_switch, limit_switches, start, disturbed):
    stage = replace(STAGES[0], home_switch=home_switch, limit_switches=limit_switches)
    sim, now = SimEsp300(stages=(stage,)), 100.0
    axis = sim.axes[1]
    fed(sim, 0.0, f"1MO;1PA{start:.4f}\r".encode())
    fed(sim, now, f"1OR{mode}\r".encode())
    for command, gap in disturbed:
        now += gap
        fed(sim, now, command.encode() + b"\r")
        assert abs(axis.trajectory.state(now)[0]) <= axis.hard_limit + 1e-9
    now += 1000.0
    sim.advance(now)
    assert not axis.homing
    assert axis.done_at() <= now
    finds = mode == 0 or (home_switch if mode < 3 else limit_switches)
    if not disturbed:
        codes = [code for code, _ in sim.errors]
        assert codes == ([] if finds else [120] if mode < 3 else [103, 120])
        assert not finds or axis.position(now) == 0.0 or mode == 0


@given(numbers, st.floats(0.1, 40), st.floats(1, 160))
def test_a_move_ends_where_it_was_sent(target, speed, acceleration):
    sim = SimEsp300()
    fed(sim, 0.0, f"1MO;1VA{speed:.4f};1AC{acceleration:.4f};1AG{acceleration:.4f};1PA{target}\r".encode())
    assert fed(sim, 1e5, b"1TE?\r") in (b"0\r\n", b"106\r\n", b"107\r\n")
    at = float(fed(sim, 1e5, b"1TP?\r"))
    assert at == (float(target) if abs(float(target)) <= 25 else 0.0)
    assert fed(sim, 1e5, b"1MD?\r") == b"1\r\n"


@given(st.lists(st.sampled_from(["XX", "TP?", "4TP?", "1PA", "2PA1", "1VA99", "1SL30"]), max_size=10))
def test_errors_come_out_in_the_order_in_which_they_went_in(sent):
    codes = {"XX": 6, "TP?": 37, "4TP?": 9, "1PA": 38, "2PA1": 213, "1VA99": 110, "1SL30": 101}
    sim = SimEsp300()
    for i, command in enumerate(sent):
        fed(sim, 0.1 * i, command.encode() + b"\r")
    told = [fed(sim, 10.0, b"TB?\r").decode().strip().split(", ") for _ in sent]
    assert [int(code) for code, _, _ in told] == [codes[command] for command in sent]
    assert [int(ticks) for _, ticks, _ in told] == [int(0.1 * i / 400e-6) for i in range(len(sent))]
    assert fed(sim, 10.0, b"TE?\r") == b"0\r\n"
    assert all(text in {*MESSAGES.values()} or text.startswith("AXIS-") for _, _, text in told)


@given(st.text(max_size=20))
def test_a_number_is_one_that_float_reads(text):
    if is_finite(text):
        assert math.isfinite(float(text))


@given(st.binary(max_size=60), st.integers(1, 10))
def test_how_bytes_are_cut_does_not_matter(data, size):
    whole, pieces = SimEsp300(), SimEsp300()
    one = fed(whole, 1.0, data + b"\rTB?\r")
    cut = data + b"\rTB?\r"
    many = b"".join(fed(pieces, 1.0, cut[i : i + size]) for i in range(0, len(cut), size))
    assert one == many
