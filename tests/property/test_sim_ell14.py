"""Whatever is sent to the simulated ELL14 bus, it lives and answers in frames; packets are cut however they come."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.sim import SimEll14
from rdaq_ophyd.sim._ell14_packets import DIGITS, UNFINISHED, WRONG, PacketReader
from rdaq_ophyd.sim._ell14_rotator import number, signed

FRAME = re.compile(r"[03A](GS|GV|PO|BO|BS|GJ|HO|IN|I1|I2)[0-9A-F]*")
digits = st.text("0123456789ABCDEF", max_size=9)
# Not the ones that change who answers.
names = st.sampled_from([*sorted(set(DIGITS) - {"ca", "ga", "is"}), "ho", "xx"])
commands = st.builds("{}{}{}{}".format, st.sampled_from("03A7"), names, digits, st.sampled_from(["", "\r", "\n"]))
whole = st.one_of(
    *(
        st.builds(
            "{}{}{}".format, st.sampled_from("03A7"), st.just(name), st.text("0123456789ABCDEF", min_size=n, max_size=n)
        )
        for name, n in DIGITS.items()
    )
)
gaps = st.floats(0, 5)


def fed(sim, now, data):
    return b"".join(reply.data for reply in sim.feed(data, now))


@given(st.lists(st.tuples(st.binary(max_size=40), gaps), max_size=30))
def test_any_bytes_are_survived(chunks):
    sim, now = SimEll14(latency=0.001), 0.0
    for data, gap in chunks:
        fed(sim, now, data)
        now += gap
    sim.power_cycle(now + 10)
    sim.advance(now + 20)
    assert fed(sim, now + 30, b"\r0gs") + b"".join(r.data for r in sim.advance(now + 31)) == b"0GS00\r\n"


@given(st.lists(st.tuples(commands, gaps), max_size=30))
def test_what_it_says_are_frames_with_rising_times(sent):
    sim, now, last = SimEll14(), 0.0, 0.0
    for command, gap in sent:
        replies = sim.feed(command.encode(), now)
        now += gap
        for reply in replies + sim.advance(now):
            assert FRAME.fullmatch(reply.data.decode().removesuffix("\r\n"))
            assert last <= reply.at <= now
            last = reply.at
        assert sum(r.motion is not None for r in sim.rotators.values()) <= sim.movers + 1


@given(st.lists(whole, max_size=20), st.sampled_from([b"", b"\r", b"\n", b"\r\n"]), st.integers(1, 9))
def test_whole_packets_come_out_as_they_went_in(packets, end, size):
    reader, data = PacketReader(), b"".join(p.encode() + end for p in packets)
    found = []
    for i in range(0, len(data), size):
        for value in data[i : i + size]:
            found += reader.take(value, 0.001 * i)
    assert found == packets
    assert reader.due() is None


@given(whole, st.integers(1, 10), st.floats(2.0, 100.0))
def test_half_a_packet_is_dropped_after_the_gap(packet, length, pause):
    reader = PacketReader()
    cut = packet[: min(length, len(packet) - 1)]
    for value in cut.encode():
        assert reader.take(value, 1.0) == []
    assert reader.idle(2.99) == []
    assert reader.idle(1.0 + pause) == [packet[0] + UNFINISHED]
    assert [p for value in packet.encode() for p in reader.take(value, 200.0)] == [packet]


@given(whole, st.integers(1, 10))
def test_a_terminator_within_a_packet_ends_it(packet, length):
    reader = PacketReader()
    cut = packet[: min(length, len(packet) - 1)]
    assert [p for value in (cut + "\r" + packet).encode() for p in reader.take(value, 1.0)] == [
        packet[0] + WRONG,
        packet,
    ]


@given(st.integers(-(2**31), 2**31 - 1))
def test_positions_are_twos_complement(value):
    assert signed(number(value)) == value
    assert len(number(value)) == 8


@given(st.integers(-2_000_000, 2_000_000).filter(bool), st.integers(25, 100))
def test_a_move_ends_where_it_was_sent_in_its_time(target, percent):
    sim = SimEll14("0")
    assert fed(sim, 0.0, f"0sv{percent:02X}0ma{number(target)}".encode()) == b"0GS00\r\n"
    (end,) = sim.advance(1e3)
    assert end.data == f"0PO{number(target)}\r\n".encode()
    shortest = abs(target) / 143_360 * 360 / (430 * percent / 100)
    assert shortest <= end.at + 1e-9
    assert end.at <= shortest + 0.1
