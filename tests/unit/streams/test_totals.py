"""Counts that only grow, whatever a file's own counts do."""

from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.streams import Totals


def test_a_new_file_begins_at_zero_and_the_totals_go_on():
    totals = Totals()
    for counts in ((0, 0, 0), (5, 1, 0), (3, 1, 2), (6, 1, 2), (0, 0, 0), (4, 2, 1)):
        totals.note(*counts)
    assert (totals.written, totals.lost, totals.discarded) == (5 + 3 + 4, 1 + 2, 2 + 1)


@given(st.lists(st.tuples(*[st.integers(0, 1000)] * 3)))
def test_nothing_ever_shrinks(counted):
    totals, last = Totals(), (0, 0, 0)
    for counts in counted:
        totals.note(*counts)
        now = (totals.written, totals.lost, totals.discarded)
        assert all(new >= old for new, old in zip(now, last, strict=True))
        assert all(total >= count for total, count in zip(now, counts, strict=True))
        last = now
