"""Blocks hold what transfers brought, however the card cuts them, and every loss is NaN in its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.errors import CardError
from rdaq_ophyd.samples import BlockFormat, BlockRing, Transfer
from rdaq_ophyd.samples._assembler import Assembler

RATE = 1000.0
SCALE, OFFSET = np.array([0.5, 2.0]), np.array([1.0, -1.0])


def ring_of(samples: int, depth: int = 2) -> BlockRing:
    return BlockRing(BlockFormat(("a", "b"), samples, "<f8"), depth)


def counts(first: int, number: int) -> np.ndarray:
    index = np.arange(first, first + number)
    return np.stack([index, -index], axis=1).astype("<i2")


def always() -> bool:
    return True


@given(
    samples=st.integers(2, 40),
    pieces=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 90)), max_size=20),
    apart=st.booleans(),
)
def test_what_goes_in_comes_out_at_its_place(samples, pieces, apart):
    ring = ring_of(samples)
    assembler = Assembler(ring, SCALE, OFFSET, RATE, base=500, arm=3, apart=apart)
    assembler.begin(1000.0)
    expected, found, index, late = [], [], 0, 1000.0
    for gap, length in pieces:
        expected += [np.nan] * gap + list(range(index + gap, index + gap + length))
        index += gap + length
        late = 1000.0 + index / RATE
        for block in assembler.feed(Transfer(index - length, counts(index - length, length), late), "card", always):
            assert block.index == 500 + samples * len(found)
            assert block.arm == 3
            assert block.lost == np.isnan(block.values[0]).sum()
            assert block.start <= block.arrival == late
            found.append(block.values.copy())
            statistics = block.statistics[:, 0].copy()
            whole = block.values[0][~np.isnan(block.values[0])]
            if len(whole):
                assert statistics == pytest.approx([whole.mean(), whole.std(), whole.min(), whole.max()])
            else:
                assert np.isnan(statistics).all()
            block.release()
    whole = len(expected) // samples
    assert len(found) == whole
    wanted = np.array(expected[: whole * samples], dtype=float).reshape(whole, samples)
    if found:
        values = np.array(found)
        assert np.array_equal(values[:, 0], wanted * 0.5 + 1.0, equal_nan=True)
        assert np.array_equal(values[:, 1], -wanted * 2.0 - 1.0, equal_nan=True)
    assert assembler.lost == sum(gap for gap, _ in pieces)
    assert assembler.expected == index
    assert assembler.end() == len(expected) % samples
    assert ring.free == ring.depth


@given(samples=st.integers(2, 30), skip=st.integers(1, 50), pieces=st.lists(st.integers(1, 120), max_size=15))
def test_what_lies_between_blocks_is_not_kept(samples, skip, pieces):
    ring = ring_of(samples)
    assembler = Assembler(ring, SCALE, OFFSET, RATE, skip=skip)
    assembler.begin(1000.0)
    index, found = 0, []
    for length in pieces:
        transfer = Transfer(index, counts(index, length), 1000.0 + (index + length) / RATE)
        for block in assembler.feed(transfer, "card", always):
            found.append((block.index, list(block.values[0])))
            block.release()
        index += length
    assert assembler.expected == index
    assert len(found) == (index + skip) // (samples + skip)
    for row, (first, values) in enumerate(found):
        assert first == row * (samples + skip)
        assert values == [n * 0.5 + 1.0 for n in range(first, first + samples)]


def test_blocks_of_one_arming_lie_at_equal_times_though_transfers_are_late():
    assembler = Assembler(ring_of(10), SCALE, OFFSET, RATE)
    assembler.begin(1000.0, 1000.0)
    starts = []
    for first, late in ((0, 0.3), (10, 0.0), (20, 0.5)):
        for block in assembler.feed(Transfer(first, counts(first, 10), 1000.01 + first / RATE + late), "card", always):
            starts.append(block.start)
            block.release()
    assert starts == pytest.approx([1000.0, 1000.01, 1000.02])


def test_each_edges_block_has_a_start_of_its_own():
    assembler = Assembler(ring_of(10), SCALE, OFFSET, RATE, apart=True)
    assembler.begin(1000.0)
    starts = []
    for first, edge in ((0, 1005.0), (10, 1020.0)):
        for half in (0, 5):
            transfer = Transfer(first + half, counts(first + half, 5), edge + (half + 5) / RATE)
            for block in assembler.feed(transfer, "card", always):
                starts.append(block.start)
                block.release()
    assert starts == pytest.approx([1005.0, 1020.0])


def test_samples_out_of_order_are_told():
    assembler = Assembler(ring_of(10), SCALE, OFFSET, RATE)
    assembler.begin(1000.0)
    assert not list(assembler.feed(Transfer(0, counts(0, 5), 1000.1), "card", always))
    with pytest.raises(CardError, match="card: sample 3 came after sample 4"):
        list(assembler.feed(Transfer(3, counts(3, 5), 1000.1), "card", always))
    assembler.end()


def test_a_count_that_ran_ahead_of_time_is_not_believed():
    assembler = Assembler(ring_of(10), SCALE, OFFSET, RATE)
    assembler.begin(1000.0)
    with pytest.raises(CardError, match=r"65536 samples are missing before sample 65536, more than 1\.5 s have"):
        list(assembler.feed(Transfer(65536, counts(0, 5), 1000.5), "card", always))


def test_without_room_it_waits_until_nobody_wants_more():
    ring = ring_of(10, depth=1)
    assembler = Assembler(ring, SCALE, OFFSET, RATE)
    assembler.begin(1000.0)
    asked = []

    def wanted() -> bool:
        asked.append(1)
        return len(asked) < 2

    taken = list(assembler.feed(Transfer(0, counts(0, 25), 1000.1), "card", wanted))
    assert len(taken) == 1
    assert len(asked) == 2
    taken[0].release()
    assert assembler.end() == 0
