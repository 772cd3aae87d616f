"""A growing dataset holds what was added and not taken back, however the chunks fall."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.frames import Rows

CHUNK = 4
numbers = st.integers(0, 2**16 - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("extend"), st.lists(numbers, max_size=3 * CHUNK)),
        st.tuples(st.just("append"), numbers),
        st.tuples(st.just("commit"), st.none()),
        st.tuples(st.just("truncate"), st.integers(0, 5 * CHUNK)),
        st.tuples(st.just("cut"), st.integers(0, 5 * CHUNK)),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_rows_are_those_added_less_those_taken_back(work):
    wanted, written = [], 0
    with h5py.File("rows", "w", driver="core", backing_store=False, libver="latest") as file:
        rows = Rows(file, "rows", (), "<u2", CHUNK, units="", long_name="a row")
        for step, value in work:
            if step == "extend":
                rows.extend(value)
                wanted += value
            elif step == "append":
                rows.append(value)
                wanted.append(value)
            elif step == "truncate":
                rows.truncate(value)
                del wanted[value:]
                written = len(wanted)
            elif step == "cut":  # as after a failed write: back to what is in the file
                written = min(written, value)
                rows.cut(written)
                del wanted[written:]
            else:
                rows.commit()
                written = len(wanted)
                assert file["rows"][:].tolist() == wanted
        rows.commit()
        assert file["rows"][:].tolist() == wanted
        assert dict(file["rows"].attrs) == {"long_name": "a row"}


def test_a_number_that_does_not_fit_adds_nothing():
    with h5py.File("rows", "w", driver="core", backing_store=False, libver="latest") as file:
        rows = Rows(file, "rows", (), "<u2", CHUNK)
        rows.extend([1, 2, 3, 4, 5])
        with pytest.raises(OverflowError):
            rows.extend([6, 65536])
        rows.extend(np.array([7], "<u2"))
        rows.commit()
        assert file["rows"][:].tolist() == [1, 2, 3, 4, 5, 7]


def test_after_a_failed_write_the_rows_before_it_stay():
    with h5py.File("rows", "w", driver="core", backing_store=False, libver="latest") as file:
        rows = Rows(file, "rows", (2,), "<f8", CHUNK)
        rows.extend([[1, 2], [3, 4], [5, 6]])
        rows.commit()
        rows.extend([[7, 8], [9, 9]])
        rows.cut(2)
        assert file["rows"][:].tolist() == [[1, 2], [3, 4]]
        rows.append([0, 1])
        rows.commit()
        assert file["rows"][:].tolist() == [[1, 2], [3, 4], [0, 1]]
