"""What those get who look on at a card: nothing while it is idle, then every sample, and what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.samples import (
    BlockFormat,
    Calibration,
    CardIdentity,
    CardRecord,
    Channel,
    ChannelRecord,
    SampleFan,
    Transfer,
)
from rdaq_ophyd.samples._feed import SampleFeed
from rdaq_ophyd.samples._tap import LARGEST

RATE = 1000.0
#: Counts are sample numbers: channel a has them as they are, b as 10 - 2 times as many.
CHANNELS = (
    ChannelRecord(Channel("a", "V", 1.0, 0.0), Calibration()),
    ChannelRecord(Channel("b", "V", 1.0, 0.0), Calibration("W", -2.0, 10.0)),
)
RECORD = CardRecord("adc", CardIdentity("maker", "model", "1"), RATE, BlockFormat(("a", "b"), 4, "<f4"), CHANNELS)


@pytest.fixture
def fan():
    return SampleFan()


@pytest.fixture
def tap(fan):
    with fan.open() as made:
        yield made


def transfer(index, count, host_time=None):
    """Arrives when its last sample was taken, sample 0 at 100 s, unless it is said otherwise."""
    counts = np.arange(index, index + count, dtype="<i2")
    when = 100.0 + (index + count) / RATE if host_time is None else host_time
    return Transfer(index, np.stack([counts, counts], axis=1), when)


def feed(fan, record=RECORD, shot=0, fired=None):
    made = SampleFeed(fan, record, shot)
    made.begin(fired)
    return made


def told(pieces):
    """First, shot and length of each."""
    return [(piece.first, piece.shot, len(piece.rows)) for piece in pieces]


def test_an_idle_card_shows_nothing_and_a_stopped_one_nothing_more(fan, tap):
    assert tap.take() == []
    card = feed(fan)
    assert tap.take() == []  # armed, and nothing came
    card.offer(transfer(0, 5))
    assert told(tap.take()) == [(0, 0, 5)]
    assert tap.take() == []
    assert tap.counts == (5, 5, 0, 0)


def test_pieces_are_what_the_card_measured_in_units(fan, tap):
    card = feed(fan)
    card.offer(transfer(3, 5))
    (piece,) = tap.take()
    np.testing.assert_array_equal(piece.rows, np.stack([np.arange(3, 8), 10 - 2 * np.arange(3, 8)], axis=1))
    assert piece.rows.dtype == "<f4"
    assert piece.rows.flags.c_contiguous
    assert not piece.rows.flags.writeable
    schema = piece.schema
    assert (schema.device, schema.rate, schema.number) == ("adc", RATE, 1)
    assert [(c.name, c.dtype, c.units, c.measured_units) for c in schema.columns] == [
        ("a", "<f4", "V", "V"),
        ("b", "<f4", "W", "V"),
    ]
    assert [c.calibration for c in schema.columns] == [None, CHANNELS[1].calibration]


def test_what_is_shown_is_not_the_memory_of_the_card(fan, tap):
    given = transfer(0, 5)
    feed(fan).offer(given)
    given.data[:] = 99
    (piece,) = tap.take()
    assert list(piece.rows[:, 0]) == [0, 1, 2, 3, 4]


def test_the_next_start_goes_on_to_count_and_is_another_shot(fan, tap):
    for _ in range(2):
        card = feed(fan)
        card.offer(transfer(0, 5))
        card.offer(transfer(5, 3))
    pieces = tap.take()
    assert told(pieces) == [(0, 0, 5), (5, 0, 3), (8, 1, 5), (13, 1, 3)]
    assert len({id(piece.schema) for piece in pieces}) == 1


def test_a_start_of_which_nothing_came_is_no_shot(fan, tap):
    feed(fan)
    feed(fan).offer(transfer(0, 5))
    assert told(tap.take()) == [(0, 0, 5)]


def test_a_new_rate_is_another_schema_and_the_old_rate_again_a_third(fan, tap):
    numbers = []
    for rate in (RATE, RATE, 500.0, RATE):
        feed(fan, replace(RECORD, rate=rate)).offer(transfer(0, 2))
        (piece,) = tap.take()
        assert piece.schema.rate == rate
        numbers.append(piece.schema.number)
    assert numbers == [1, 1, 2, 3]


def test_a_new_calibration_is_another_schema(fan, tap):
    other = ChannelRecord(CHANNELS[0].channel, Calibration("A", 3.0))
    for channels in (CHANNELS, (other, CHANNELS[1])):
        feed(fan, replace(RECORD, channels=channels)).offer(transfer(0, 2))
    before, after = tap.take()
    assert (before.schema.number, after.schema.number) == (1, 2)
    assert [list(piece.rows[:, 0]) for piece in (before, after)] == [[0, 1], [0, 3]]


def test_who_comes_later_gets_what_comes_later_under_the_same_numbers(fan):
    card = feed(fan)
    card.offer(transfer(0, 5))  # nobody listens, and it counts all the same
    with fan.open() as early:
        card.offer(transfer(5, 5))
        with fan.open() as late:
            card.offer(transfer(10, 5))
            assert told(late.take()) == [(10, 0, 5)]
        assert told(early.take()) == [(5, 0, 5), (10, 0, 5)]
    assert not fan.listening
    card.offer(transfer(15, 5))
    with fan.open() as again:
        card.offer(transfer(20, 1))
        assert told(again.take()) == [(20, 0, 1)]


def test_where_nobody_listens_no_sample_is_touched(fan):
    class Untouched:
        def __len__(self):
            return 5

    feed(fan).offer(Transfer(0, Untouched(), 100.0))
    assert (fan.end, fan.shots) == (5, 1)


def test_what_the_card_lost_is_a_gap_in_the_numbers(fan, tap):
    card = feed(fan)
    card.offer(transfer(0, 5))
    card.offer(transfer(25, 5))
    card.offer(Transfer(40, np.empty((0, 2), "<i2"), 100.04))  # the last ten were lost too
    assert told(tap.take()) == [(0, 0, 5), (25, 0, 5)]
    feed(fan).offer(transfer(0, 5))
    assert told(tap.take()) == [(40, 1, 5)]


def test_transfers_that_are_mixed_up_are_not_shown(fan, tap):
    card = feed(fan)
    card.offer(transfer(5, 5))
    card.offer(transfer(0, 5))
    assert told(tap.take()) == [(5, 0, 5)]


def test_each_edge_is_a_shot_with_a_time_of_its_own(fan, tap):
    card = feed(fan, shot=4)
    card.offer(transfer(0, 3, 10.003))
    card.offer(transfer(3, 1, 10.004))
    card.offer(transfer(4, 4, 20.004))
    pieces = tap.take()
    assert told(pieces) == [(0, 0, 3), (3, 0, 1), (4, 1, 4)]
    assert [piece.time for piece in pieces] == pytest.approx([10.0, 10.003, 20.0], abs=1e-6)
    feed(fan, shot=4).offer(transfer(0, 4))
    assert told(tap.take()) == [(8, 2, 4)]


def test_a_transfer_over_several_edges_is_parted_at_them(fan, tap):
    card = feed(fan, shot=4)
    card.offer(transfer(2, 8, 10.01))
    pieces = tap.take()
    assert told(pieces) == [(2, 0, 2), (4, 1, 4), (8, 2, 2)]
    assert [piece.rows[0, 0] for piece in pieces] == [2, 4, 8]
    assert [piece.time for piece in pieces] == pytest.approx([10.002, 10.004, 10.008], abs=1e-6)


def test_times_follow_the_earliest_arrival_and_are_never_later_than_it(fan, tap):
    card = feed(fan)
    card.offer(transfer(0, 10, 100.5))  # half a second late
    card.offer(transfer(10, 10, 100.02))
    card.offer(transfer(20, 10, 100.9))
    pieces = tap.take()
    assert [piece.time for piece in pieces] == pytest.approx([100.49, 100.01, 100.02], abs=1e-9)
    card = feed(fan, fired=50.0)
    card.offer(transfer(0, 10, 50.5))
    (piece,) = tap.take()
    assert piece.time == 50.0, "the host itself fired the card"


def test_a_long_transfer_is_shown_in_pieces_of_limited_size(fan, tap):
    most = LARGEST // 8
    card = feed(fan)
    card.offer(transfer(0, 2 * most + 1))
    pieces = tap.take()
    assert told(pieces) == [(0, 0, most), (most, 0, most), (2 * most, 0, 1)]
    assert [piece.time for piece in pieces] == pytest.approx([100 + n * most / RATE for n in range(3)])


def test_a_device_that_is_closed_ends_its_taps_and_counts_on(fan, tap):
    card = feed(fan)
    card.offer(transfer(0, 5))
    fan.close()
    card.offer(transfer(5, 5))
    assert told(tap.take()) == [(0, 0, 5)]
    with fan.open() as other:
        feed(fan).offer(transfer(0, 5))
        assert told(other.take()) == [(10, 1, 5)]


STARTS = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), min_size=1, max_size=8), min_size=1, max_size=4
)


@given(STARTS, st.sampled_from([0, 1, 3, 7]))
def test_every_sample_comes_once_in_its_shot_whatever_the_card_makes_of_its_transfers(starts, shot):
    """Each start gives transfers, each after so many samples that were lost."""
    fan = SampleFan()
    with fan.open() as tap:
        end, shots = 0, -1
        for transfers in starts:
            card, index, expected = feed(fan, shot=shot), 0, []
            for lost, count in transfers:
                index += lost
                card.offer(transfer(index, count))
                expected += range(index, index + count)
                index += count
            pieces = tap.take()
            numbers = [(piece.first + n - end, piece) for piece in pieces for n in range(len(piece.rows))]
            assert [number for number, _ in numbers] == expected
            assert [piece.rows[number + end - piece.first, 0] for number, piece in numbers] == expected
            within = {piece.shot - number // shot if shot else piece.shot for number, piece in numbers}
            assert len(within) <= 1
            assert all(piece.shot > shots for piece in pieces)
            shots = max([shots, *(piece.shot for piece in pieces)])
            end += index
            assert fan.end == end
